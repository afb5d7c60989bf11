"""Additive attention.

Bahdanau, Cho and Bengio 2014, "Neural Machine Translation by Jointly Learning to Align and
Translate", arXiv:1409.0473, sections 3.1 and A.1.2.
"""

import keras
from keras import layers, ops

from custom_layers.attention_weights import attention_weights, of_keys


@keras.saving.register_keras_serializable("custom_layers")
class AdditiveAttention(layers.Layer):
    """score[t, s] = tanh(q[t] W + k[s] U) v
    weights = softmax of the scores over s
    context[t] = sum over s of weights[t, s] k[s]

    The softmax is taken in float32 at least.

    Args:
        units: A, width in which query and key are compared, an integer of 1 or more.

    Call arguments:
        query: (B, T, Q).
        keys: (B, S, K).
        keys_mask: (B, S), False for positions that get no weight; by default the mask that
            ``keys`` carries. Where all are False, all get the same.

    Shapes: -> context (B, T, K), which carries the mask that ``query`` does; weights (B, T, S).

    Raises:
        ValueError: ``units`` is none.
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        if not (type(units) is int and units >= 1):
            raise ValueError(f"units must be an integer of 1 or more, got {units!r}.")
        self.units = units

    def build(self, query_shape, keys_shape):
        self.query_kernel = self.add_weight(
            name="query_kernel", shape=(query_shape[-1], self.units)
        )
        self.key_kernel = self.add_weight(name="key_kernel", shape=(keys_shape[-1], self.units))
        self.score_kernel = self.add_weight(name="score_kernel", shape=(self.units, 1))

    def call(self, query, keys, keys_mask=None):
        projected = ops.matmul(keys, self.key_kernel)  # (B, S, A)
        return attend(query, projected, keys, keys_mask, self.query_kernel, self.score_kernel)

    def compute_output_shape(self, query_shape, keys_shape):
        return (*query_shape[:2], keys_shape[-1]), (*query_shape[:2], keys_shape[1])

    def compute_mask(self, query, query_mask):
        return query_mask, None

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def attend(query, keys, values, keys_mask, query_kernel, score_kernel):
    """(B, T, Q), (B, S, A), (B, S, K) -> context (B, T, K), weights (B, T, S).

    Args:
        keys: projected already; so in a loop over the query it is done once.
    """
    query = ops.matmul(query, query_kernel)[:, :, None]  # (B, T, 1, A)
    compared = ops.tanh(query + keys[:, None])  # (B, T, S, A)
    scores = ops.matmul(compared, score_kernel)[..., 0]  # (B, T, S)
    weights = ops.cast(attention_weights(scores, of_keys(keys_mask)), values.dtype)
    return ops.matmul(weights, values), weights
