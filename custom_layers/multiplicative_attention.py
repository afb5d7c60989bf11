"""Multiplicative attention.

Luong, Pham and Manning 2015, "Effective Approaches to Attention-based Neural Machine Translation",
arXiv:1508.04025, section 3.1, the score that it calls general.
"""

import keras
from keras import layers, ops

from custom_layers.attention_weights import attention_weights, of_keys
from custom_layers.precision import at_least_float32


@keras.saving.register_keras_serializable("custom_layers")
class MultiplicativeAttention(layers.Layer):
    """score[t, s] = q[t] W k[s]
    weights = softmax of the scores over s
    context[t] = sum over s of weights[t, s] k[s]

    The product with k, which has no bound, and the softmax are taken in float32 at least.

    Call arguments:
        query: (B, T, Q).
        keys: (B, S, K).
        keys_mask: (B, S), False for positions that get no weight; by default the mask that
            ``keys`` carries. Where all are False, all get the same.

    Shapes: -> context (B, T, K), which carries the mask that ``query`` does; weights (B, T, S).
    """

    def build(self, query_shape, keys_shape):
        self.kernel = self.add_weight(name="kernel", shape=(query_shape[-1], keys_shape[-1]))

    def call(self, query, keys, keys_mask=None):
        projected = at_least_float32(ops.matmul(query, self.kernel))  # (B, T, K)
        scores = ops.matmul(projected, ops.transpose(keys, (0, 2, 1)))  # (B, T, S)
        weights = ops.cast(attention_weights(scores, of_keys(keys_mask)), self.compute_dtype)
        return ops.matmul(weights, keys), weights

    def compute_output_shape(self, query_shape, keys_shape):
        return (*query_shape[:2], keys_shape[-1]), (*query_shape[:2], keys_shape[1])

    def compute_mask(self, query, query_mask):
        return query_mask, None
