"""Leaky rectified linear unit.

Maas, Hannun and Ng 2013, "Rectifier Nonlinearities Improve Neural Network
Acoustic Models", section 2.
"""

import math

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("custom_layers")
class LeakyReLU(layers.Layer):
    """f(x) = x where x > 0, negative_slope * x elsewhere.

    A ReLU passes no gradient where its input is negative, so a unit that is never
    positive never learns. The small slope keeps it alive. The derivative at 0 is
    ``negative_slope``.

    Args:
        negative_slope: slope below zero, finite and at least 0; 0 is a plain ReLU.
            The default 0.01 is the paper's (Keras's own layer has 0.3).

    Shapes: any -> the same.

    Raises:
        ValueError: ``negative_slope`` is negative, infinite or not a number.
    """

    def __init__(self, negative_slope=0.01, **kwargs):
        super().__init__(**kwargs)
        if not (0 <= negative_slope < math.inf):
            raise ValueError(f"negative_slope must be finite and at least 0, got {negative_slope}.")
        self.negative_slope = negative_slope
        self.supports_masking = True

    def call(self, inputs):
        # A product, because its derivative costs less than that of a choice between two tensors.
        positive = ops.cast(inputs > 0, inputs.dtype)
        return inputs * (positive + self.negative_slope * (1 - positive))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "negative_slope": self.negative_slope}
