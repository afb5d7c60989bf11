"""Gaussian error linear unit.

Hendrycks and Gimpel 2016, "Gaussian Error Linear Units (GELUs)",
arXiv:1606.08415, section 2.
"""

import math

import keras
from keras import layers, ops

from custom_layers.precision import at_least_float32


@keras.saving.register_keras_serializable("custom_layers")
class GELU(layers.Layer):
    """f(x) = x * Phi(x), with Phi the cumulative distribution of the standard normal.

        exact:        0.5 * x * (1 + erf(x / sqrt(2)))
        approximate:  0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))

    Both are computed in float32 at least: in float16, x**3 overflows from |x| = 41 on
    and the gradient of the approximation becomes NaN.

    Args:
        approximate: use the tanh form (BERT's and GPT-2's original code) instead of
            the exact one. They differ by less than 5e-4.

    Shapes: any -> the same.
    """

    def __init__(self, approximate=False, **kwargs):
        super().__init__(**kwargs)
        self.approximate = approximate
        self.supports_masking = True

    def call(self, inputs):
        x = at_least_float32(inputs)
        if self.approximate:
            phi = 0.5 * (1 + ops.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
        else:
            phi = 0.5 * (1 + ops.erf(x / math.sqrt(2)))
        return ops.cast(x * phi, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "approximate": self.approximate}
