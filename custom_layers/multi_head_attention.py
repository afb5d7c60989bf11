"""Multi-head attention.

Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser and Polosukhin 2017, "Attention Is All You
Need", arXiv:1706.03762, section 3.2.2.
"""

import operator

import keras
from keras import layers, ops

from custom_layers.input_shape import num_features
from custom_layers.scaled_dot_product_attention import ScaledDotProductAttention


@keras.saving.register_keras_serializable("custom_layers")
class MultiHeadAttention(layers.Layer):
    """Each head attends in a projection of its own, and the results are projected back:

        head[n] = attention(x Wq[n] + bq[n], y Wk[n] + bk[n], y Wv[n] + bv[n])
        output = (head[1], ..., head[N] side by side) Wo + bo

    Args:
        num_heads: N, a divisor of the width D of x; a head has D / N features.
        causal: whether a position sees none behind it; for y = x.
        dropout_rate: share of the weights that is dropped in training.
        seed: of that dropout, as ``Dropout`` takes it.

    Call arguments:
        inputs: x, (B, T, D), what asks.
        memory: y, (B, S, E), what is looked at; for self-attention x again.
        memory_mask: (B, S), True for what is seen, by default the mask that ``memory`` carries; or
            (B, T, S).

    Shapes: -> output (B, T, D), which carries the mask that ``inputs`` does; weights (B, N, T, S).

    Raises:
        ValueError: ``num_heads`` is no positive integer, or does not divide D; D or E is unknown.
    """

    def __init__(self, num_heads, causal=False, dropout_rate=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        try:
            fits = not isinstance(num_heads, bool) and operator.index(num_heads) > 0
        except TypeError:
            fits = False
        if not fits:
            raise ValueError(f"num_heads must be a positive integer, got {num_heads!r}.")
        self.num_heads = operator.index(num_heads)
        self.causal = causal
        self.dropout_rate = dropout_rate
        self.seed = seed
        self.attention = ScaledDotProductAttention(
            causal, dropout_rate=dropout_rate, seed=seed, dtype=self.dtype_policy, name="attention"
        )

    def build(self, inputs_shape, memory_shape):
        width, memory_width = num_features(inputs_shape), num_features(memory_shape)
        if width % self.num_heads:
            raise ValueError(
                f"{self.num_heads} heads cannot share a width of {width}: take a number of heads "
                f"that divides it."
            )
        widths = {"query": width, "key": memory_width, "value": memory_width}
        for name, wide in {**widths, "output": width}.items():
            kernel = self.add_weight(name=f"{name}_kernel", shape=(wide, width))
            bias = self.add_weight(name=f"{name}_bias", shape=(width,), initializer="zeros")
            setattr(self, f"{name}_kernel", kernel)
            setattr(self, f"{name}_bias", bias)

    def call(self, inputs, memory, memory_mask=None, training=False):
        context, weights = self.attention(
            self._heads(inputs, self.query_kernel, self.query_bias),
            self._heads(memory, self.key_kernel, self.key_bias),
            self._heads(memory, self.value_kernel, self.value_bias),
            keys_mask=memory_mask,
            training=training,
        )
        context = ops.reshape(context, (-1, ops.shape(inputs)[1], inputs.shape[-1]))  # (B, T, D)
        return ops.matmul(context, self.output_kernel) + self.output_bias, weights

    def _heads(self, x, kernel, bias):
        """(B, T, E) -> (B, T, N, D / N)."""
        x = ops.matmul(x, kernel) + bias
        return ops.reshape(
            x, (-1, ops.shape(x)[1], self.num_heads, kernel.shape[-1] // self.num_heads)
        )

    def compute_output_shape(self, inputs_shape, memory_shape):
        batch, times, _ = inputs_shape
        return inputs_shape, (batch, self.num_heads, times, memory_shape[1])

    def compute_mask(self, inputs, inputs_mask):
        return inputs_mask, None

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "causal": self.causal,
            "dropout_rate": self.dropout_rate,
            "seed": self.seed,
        }
