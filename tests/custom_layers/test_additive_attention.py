import numpy as np
import pytest
from keras import layers, ops

from custom_layers import AdditiveAttention
from tests.recurrent import AttentionContract, attend


def attention(query, keys, weights, mask, upstreams):
    query, keys = query.astype("float64"), keys.astype("float64")
    query_kernel, key_kernel, score_kernel = (
        weights[name] for name in ("query_kernel", "key_kernel", "score_kernel")
    )
    compared = np.tanh((query @ query_kernel)[:, :, None] + (keys @ key_kernel)[:, None])
    scores = np.einsum("btsa,a->bts", compared, score_kernel[:, 0])
    outputs, of_scores, of_keys = attend(scores, keys, mask, upstreams)
    of_sums = of_scores[..., None] * score_kernel[:, 0] * (1 - compared**2)  # (B, T, S, A)
    of_query, of_key = of_sums.sum(axis=2), of_sums.sum(axis=1)
    return outputs, [
        of_query @ query_kernel.T,
        of_key @ key_kernel.T + of_keys,
        np.einsum("btq,bta->qa", query, of_query),
        np.einsum("bsk,bsa->ka", keys, of_key),
        np.einsum("btsa,bts->a", compared, of_scores)[:, None],
    ]


class TestAdditiveAttention(AttentionContract):
    attention = staticmethod(attention)

    @staticmethod
    def make(**arguments):
        return AdditiveAttention(5, **arguments)

    @staticmethod
    def equivalent(layer, query, keys):
        theirs = layers.AdditiveAttention(use_scale=True)
        theirs.build([(None, None, 5)] * 3)
        theirs.scale = layer.score_kernel[:, 0]
        query, projected = ops.matmul(query, layer.query_kernel), ops.matmul(keys, layer.key_kernel)
        return theirs([query, keys, projected], return_attention_scores=True)


@pytest.mark.parametrize("units", [0, -1, 2.5, "7", None, True, (4,)])
def test_bad_units_are_named(units):
    with pytest.raises(ValueError) as caught:
        AdditiveAttention(units)
    assert str(caught.value) == f"units must be an integer of 1 or more, got {units!r}."
