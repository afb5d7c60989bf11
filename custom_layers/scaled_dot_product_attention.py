"""Scaled dot-product attention, of several heads side by side.

Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser and Polosukhin 2017, "Attention Is All You
Need", arXiv:1706.03762, section 3.2.1; heads of keys that several heads of queries share: Ainslie,
Lee-Thorp, de Jong, Zemlyanskiy, Lebrón and Sanghai 2023, "GQA: Training Generalized Multi-Query
Transformer Models from Multi-Head Checkpoints", arXiv:2305.13245, section 2.2; the window: Beltagy,
Peters and Cohan 2020, "Longformer: The Long-Document Transformer", arXiv:2004.05150, section 3.1.
"""

import math

import keras
from keras import layers, ops

from custom_layers.attention_weights import attention_weights
from custom_layers.continuation import continuation, first_position
from custom_layers.dropout import Dropout


@keras.saving.register_keras_serializable("custom_layers")
class ScaledDotProductAttention(layers.Layer):
    """For each head:

        score[t, s] = q[t] . k[s] / sqrt(K)
        weights = softmax of the scores over s
        context[t] = sum over s of weights[t, s] v[s]

    The softmax is taken in float32 at least. In a ``Continuation``, causal attention also sees the
    keys of the tokens before.

    Args:
        causal: whether a query sees the keys up to its own position alone.
        window: of causal attention, how many keys a query sees at most, its own the last of them;
            None: all.
        scale: what products are multiplied by; None: 1 / sqrt(K).
        dropout_rate: share of the weights that is dropped in training, of what is summed and not of
            what is returned.
        seed: of that dropout, as ``Dropout`` takes it.

    Call arguments:
        queries: (B, T, N, K).
        keys: (B, S, M, K); M divides N, and each of its heads serves N / M heads of queries that
            follow each other.
        values: (B, S, M, V).
        keys_mask: (B, S), True for keys that are seen, by default the mask that ``keys`` carries;
            or (B, T, S), or (B, 1 or N, T, S). Where a query sees none, all get the same weight, in
            causal attention all up to its own position.
        bias: is added to the scores, (1 or B, 1 or N, T, S).

    Shapes: -> context (B, T, N, V), weights (B, N, T, S).

    Raises:
        ValueError: ``window`` is no positive integer, or is there without ``causal``, an input has
            not four axes, or the heads of the keys do not divide those of the queries.
    """

    def __init__(
        self, causal=False, window=None, scale=None, dropout_rate=0.0, seed=None, **kwargs
    ):
        super().__init__(**kwargs)
        is_integer = isinstance(window, int) and not isinstance(window, bool)
        if window is not None and not (causal and is_integer and window > 0):
            raise ValueError(
                f"window must be a positive integer, and attention causal, got window={window!r} "
                f"and causal={causal!r}."
            )
        self.causal = causal
        self.window = window
        self.scale = scale
        self.dropout_rate = dropout_rate
        self.seed = seed
        self.dropout = Dropout(dropout_rate, seed=seed, dtype=self.dtype_policy, name="dropout")

    def build(self, queries_shape, keys_shape, values_shape):
        for shape in (queries_shape, keys_shape, values_shape):
            if len(shape) != 4:
                raise ValueError(
                    f"queries, keys and values have a batch, a time, heads and features, (B, T, N, "
                    f"K), got one of shape {tuple(shape)}."
                )
        batch, times, num_heads, _ = queries_shape
        self.dropout.build((batch, num_heads, times, keys_shape[1]))

    def call(self, queries, keys, values, keys_mask=None, bias=None, training=False):
        num_heads, width = queries.shape[2:]
        num_key_heads = keys.shape[2]
        if num_heads % num_key_heads:
            raise ValueError(
                f"{num_key_heads} heads of keys cannot serve {num_heads} heads of queries: take a "
                f"number that divides it."
            )
        if self.causal and continuation() is not None:
            keys, values = continuation().extended(keys, values)
        queries = queries * (1 / math.sqrt(width) if self.scale is None else self.scale)
        times, places = ops.shape(queries)[1], ops.shape(keys)[1]
        group = num_heads // num_key_heads
        # Heads first; the queries of a group side by side, before the same keys: (B, M, G T, K).
        queries = ops.reshape(
            ops.transpose(queries, (0, 2, 1, 3)), (-1, num_key_heads, group * times, width)
        )
        keys, values = ops.transpose(keys, (0, 2, 3, 1)), ops.transpose(values, (0, 2, 1, 3))
        scores = ops.reshape(ops.matmul(queries, keys), (-1, num_heads, times, places))
        if bias is not None:
            scores = scores + ops.cast(bias, scores.dtype)
        weights = attention_weights(scores, _of_heads(keys_mask), self._reach(times, places))
        weights = ops.cast(weights, self.compute_dtype)
        kept = self.dropout(weights, training=training)
        shared = ops.reshape(kept, (-1, num_key_heads, group * times, places))
        context = ops.reshape(_sums(shared, values), (-1, num_heads, times, values.shape[-1]))
        return ops.transpose(context, (0, 2, 1, 3)), weights

    def _reach(self, times, places):
        """Which keys each query may see by their positions, (T, S); None: all."""
        if not self.causal:
            return None
        query = ops.expand_dims(first_position() + ops.arange(times), 1)  # (T, 1)
        key = ops.expand_dims(ops.arange(places), 0)  # (1, S)
        reach = key <= query
        if self.window is not None:
            reach = ops.logical_and(reach, key > query - self.window)
        return reach

    def compute_output_shape(self, queries_shape, keys_shape, values_shape):
        batch, times, num_heads, _ = queries_shape
        return (
            (batch, times, num_heads, values_shape[-1]),
            (batch, num_heads, times, keys_shape[1]),
        )

    def get_config(self):
        return {
            **super().get_config(),
            "causal": self.causal,
            "window": self.window,
            "scale": self.scale,
            "dropout_rate": self.dropout_rate,
            "seed": self.seed,
        }


def _of_heads(mask):
    """A mask that broadcasts to (B, N, T, S); None: none."""
    if mask is None:
        return None
    mask = ops.cast(mask, "bool")
    if len(mask.shape) < 4:
        mask = ops.expand_dims(mask, 1)  # the same for all heads
    if len(mask.shape) < 4:
        mask = ops.expand_dims(mask, 1)  # and for all queries
    return mask


def _sums(weights, values):
    """(B, M, Q, S), (B, M, S, V) -> (B, M, Q, V)."""
    if keras.backend.backend() != "jax" or weights.shape[2] != 1:
        return ops.matmul(weights, values)
    # Of one query: XLA on a CPU reads the values faster where they are on the left.
    weights, values = (ops.transpose(each, (0, 1, 3, 2)) for each in (weights, values))
    return ops.transpose(ops.matmul(values, weights), (0, 1, 3, 2))
