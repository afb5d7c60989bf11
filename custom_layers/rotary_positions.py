"""Rotary positions.

Su, Lu, Pan, Murtadha, Wen and Liu 2021, "RoFormer: Enhanced Transformer with Rotary Position
Embedding", arXiv:2104.09864, equation 34.
"""

import keras
import numpy as np
from keras import layers, ops

from custom_layers.continuation import first_position
from custom_layers.precision import float32_or_wider


@keras.saving.register_keras_serializable("custom_layers")
class RotaryPositions(layers.Layer):
    """Turns each pair of features of queries or keys by an angle that grows with the position t:

        a[i] = base**(-2i / K)
        y[t, i]       = x[t, i] cos(t a[i]) - x[t, i + K/2] sin(t a[i])
        y[t, i + K/2] = x[t, i] sin(t a[i]) + x[t, i + K/2] cos(t a[i])

    The product of a query and a key, both turned, depends on how far apart they are alone. The
    paper pairs the neighbours 2i and 2i + 1; halves, as here, are the same but for the order of the
    features, and what the checkpoints of Llama and its like have.

    A model that learned from contexts of 8,192 tokens goes on to learn from longer ones with a
    factor f, as Llama 3.1's published code has it: a pair that turns at least 4 times in 8,192
    stays, one that turns less than once slows down by f, and between lies a mixture:

        s[i] = (8192 a[i] / (2 pi) - 1) / 3, but 0 at least and 1 at most
        a[i] becomes s[i] a[i] + (1 - s[i]) a[i] / f

    Angles are in float32 at least.

    Args:
        base: a positive number; larger turns slower, for longer contexts.
        factor: f, a positive number.

    Call arguments:
        inputs: (B, T, N, K), N heads.
        positions: (T,) or (B, T), integers; None: 0, 1, 2, ..., in a ``Continuation`` counted on.

    Shapes: (B, T, N, K) -> the same.

    Raises:
        ValueError: ``base`` or ``factor`` is not positive, or the input is not (B, T, N, K) of a
            known, even K.
    """

    def __init__(self, base=10_000.0, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        for name, value in {"base": base, "factor": factor}.items():
            if not value > 0:
                raise ValueError(f"{name} must be positive, got {value!r}.")
        self.base = base
        self.factor = factor
        self.supports_masking = True

    def build(self, input_shape):
        if len(input_shape) != 4 or input_shape[-1] is None or input_shape[-1] % 2:
            raise ValueError(
                f"the input must be (B, T, N, K) of a known, even K, got {tuple(input_shape)}."
            )
        width = input_shape[-1]
        frequencies = self.base ** (-np.arange(0, width, 2) / width)  # (K / 2,)
        share = np.clip((8192 * frequencies / (2 * np.pi) - 1) / 3, 0, 1)
        self._frequencies = share * frequencies + (1 - share) * frequencies / self.factor

    def call(self, inputs, positions=None):
        dtype = float32_or_wider(self.compute_dtype)
        if positions is None:
            positions = first_position() + ops.arange(ops.shape(inputs)[1])
        angles = ops.expand_dims(ops.cast(positions, dtype), -1) * ops.convert_to_tensor(
            self._frequencies, dtype
        )  # ([B,] T, K / 2)
        angles = ops.expand_dims(angles, -2)  # ([B,] T, 1, K / 2)
        sine, cosine = ops.sin(angles), ops.cos(angles)
        first, second = ops.split(ops.cast(inputs, dtype), 2, axis=-1)
        turned = [first * cosine - second * sine, first * sine + second * cosine]
        return ops.cast(ops.concatenate(turned, axis=-1), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "base": self.base, "factor": self.factor}
