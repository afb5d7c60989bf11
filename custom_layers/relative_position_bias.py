"""Relative position bias.

Raffel, Shazeer, Roberts, Lee, Narang, Matena, Zhou, Li and Liu 2019, "Exploring the Limits of
Transfer Learning with a Unified Text-to-Text Transformer", arXiv:1910.10683, section 2.1.
"""

import math

import keras
import numpy as np
from keras import layers, ops

from custom_layers.continuation import continuation


@keras.saving.register_keras_serializable("custom_layers")
class RelativePositionBias(layers.Layer):
    """What is added to the score of a query at t and a key at s, learned for each head and bucket:

        bias[n, t, s] = biases[bucket(t - s), n]

    The distances 0, 1, 2, ... have a bucket each in the first half of the buckets; the second half
    shares what lies between there and ``max_distance`` in steps that grow by a factor, and its last
    bucket has all beyond. If attention sees both ways, keys at t and before have one half of the
    buckets for this, and keys behind t the other half.

    Args:
        num_heads: N, heads of the attention.
        causal: whether a query sees no key behind it; such keys have the bucket of the distance 0.
        num_buckets: an even number, in attention both ways a multiple of 4.
        max_distance: the distance from which on all have the last bucket.

    Call arguments:
        queries: (B, T, ...).
        keys: (B, S, ...). In a ``Continuation``, what is causal has the keys of all tokens so far.

    Shapes: -> (1, N, T, S).

    Raises:
        ValueError: a number is no positive integer or no such multiple, or ``max_distance`` leaves
            the second half of the buckets nothing.
    """

    def __init__(self, num_heads, causal=False, num_buckets=32, max_distance=128, **kwargs):
        super().__init__(**kwargs)
        for name, number in {"num_heads": num_heads, "max_distance": max_distance}.items():
            if not (isinstance(number, int) and number > 0):
                raise ValueError(f"{name} must be a positive integer, got {number!r}.")
        multiple = 2 if causal else 4
        if not (isinstance(num_buckets, int) and num_buckets > 0 and num_buckets % multiple == 0):
            raise ValueError(
                f"num_buckets must be a positive multiple of {multiple} with causal={causal!r}, "
                f"got {num_buckets!r}."
            )
        exact = num_buckets // multiple
        if max_distance <= exact:
            raise ValueError(
                f"max_distance must be above {exact}, up to which num_buckets={num_buckets} tells "
                f"distances apart, got {max_distance}."
            )
        self.num_heads = num_heads
        self.causal = causal
        self.num_buckets = num_buckets
        self.max_distance = max_distance
        # Of the distances 0, 1, ..., max_distance; by NumPy, as a logarithm that a backend rounds
        # otherwise would move a distance to another bucket.
        distances = np.arange(max_distance + 1)
        factors = np.log(np.maximum(distances, exact) / exact) / math.log(max_distance / exact)
        steps = (factors * exact + 1e-9).astype("int32")  # a whole number may be rounded down
        shared = np.minimum(exact + steps, 2 * exact - 1)
        self._buckets = np.where(distances < exact, distances, shared).astype("int32")

    def build(self, queries_shape, keys_shape):
        self.biases = self.add_weight(name="biases", shape=(self.num_buckets, self.num_heads))

    def call(self, queries, keys):
        start, places = 0, ops.shape(keys)[1]
        if self.causal and continuation() is not None:
            start, places = continuation().start, continuation().capacity
        query = ops.expand_dims(start + ops.arange(ops.shape(queries)[1]), 1)  # (T, 1)
        behind = ops.expand_dims(ops.arange(places), 0) - query  # (T, S)
        distance = ops.maximum(-behind, 0) if self.causal else ops.abs(behind)
        buckets = ops.take(self._buckets, ops.minimum(distance, self.max_distance))
        if not self.causal:
            buckets = ops.where(behind > 0, buckets + self.num_buckets // 2, buckets)
        bias = ops.take(self.biases, buckets, axis=0)  # (T, S, N)
        return ops.expand_dims(ops.transpose(bias, (2, 0, 1)), 0)  # (1, N, T, S)

    def compute_output_shape(self, queries_shape, keys_shape):
        return 1, self.num_heads, queries_shape[1], keys_shape[1]

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "causal": self.causal,
            "num_buckets": self.num_buckets,
            "max_distance": self.max_distance,
        }
