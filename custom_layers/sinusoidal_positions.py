"""Sinusoidal positions.

Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser and Polosukhin 2017, "Attention Is All You
Need", arXiv:1706.03762, section 3.5.
"""

import keras
import numpy as np
from keras import layers, ops

from custom_layers.continuation import first_position
from custom_layers.precision import float32_or_wider


@keras.saving.register_keras_serializable("custom_layers")
class SinusoidalPositions(layers.Layer):
    """y[t] = x[t] + P[t], where P tells apart positions, and has no weights:

        P[t, 2i]     = sin(t / 10000**(2i / D))
        P[t, 2i + 1] = cos(t / 10000**(2i / D))

    Angles are in float32 at least, which leaves an error of up to t * 6e-8 in P.

    Call arguments:
        inputs: (B, T, D). In a ``Continuation`` they follow other tokens, and t is counted on.

    Shapes: (B, T, D) -> the same.

    Raises:
        ValueError: the input is not (B, T, D) of a known, even D.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape):
        if len(input_shape) != 3 or input_shape[-1] is None or input_shape[-1] % 2:
            raise ValueError(
                f"the input must be (B, T, D) of a known, even D, got {tuple(input_shape)}."
            )
        width = input_shape[-1]
        self._frequencies = 10_000.0 ** (-np.arange(0, width, 2) / width)  # (D / 2,)

    def call(self, inputs):
        dtype = float32_or_wider(self.compute_dtype)
        times = ops.cast(first_position(), dtype) + ops.arange(ops.shape(inputs)[1], dtype=dtype)
        angles = times[:, None] * ops.convert_to_tensor(self._frequencies, dtype)  # (T, D / 2)
        pairs = ops.stack([ops.sin(angles), ops.cos(angles)], axis=-1)  # (T, D / 2, 2)
        positions = ops.reshape(pairs, (-1, inputs.shape[-1]))  # (T, D)
        return inputs + ops.cast(positions, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape
