import keras
import numpy as np
from keras import layers, ops

from custom_layers import MultiplicativeAttention
from tests.recurrent import AttentionContract, attend


def attention(query, keys, weights, mask, upstreams):
    query, keys, kernel = query.astype("float64"), keys.astype("float64"), weights["kernel"]
    scores = np.einsum("btq,qk,bsk->bts", query, kernel, keys)
    outputs, of_scores, of_keys = attend(scores, keys, mask, upstreams)
    return outputs, [
        np.einsum("bts,bsk,qk->btq", of_scores, keys, kernel),
        np.einsum("bts,btq,qk->bsk", of_scores, query, kernel) + of_keys,
        np.einsum("bts,btq,bsk->qk", of_scores, query, keys),
    ]


class TestMultiplicativeAttention(AttentionContract):
    make = MultiplicativeAttention
    attention = staticmethod(attention)

    @staticmethod
    def equivalent(layer, query, keys):
        theirs = layers.Attention(use_scale=False)
        return theirs([ops.matmul(query, layer.kernel), keys], return_attention_scores=True)


def test_large_scores_in_half_precision_do_not_overflow():
    """The largest float16 is 65504; the scores here are 80000, 160000 and 0."""
    layer = MultiplicativeAttention(dtype="mixed_float16")
    layer.build((None, 1, 2), (None, 3, 2))
    layer.kernel.assign(np.eye(2))
    query = np.array([[[200, 200]]], "float32")
    keys = np.array([[[200, 200], [400, 400], [200, -200]]], "float32")
    context, weights = layer(query, keys)
    assert keras.backend.standardize_dtype(weights.dtype) == "float16"
    np.testing.assert_array_equal(ops.convert_to_numpy(weights), [[[0, 1, 0]]])
    np.testing.assert_array_equal(ops.convert_to_numpy(context), [[[400, 400]]])
