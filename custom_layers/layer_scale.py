"""Layer scale.

Touvron, Cord, Sablayrolles, Synnaeve and Jégou 2021, "Going deeper with Image
Transformers", arXiv:2103.17239, section 2.
"""

import math
import numbers

import keras
from keras import initializers, layers, ops

from custom_layers.input_shape import num_features
from custom_layers.precision import at_least_float32


@keras.saving.register_keras_serializable("custom_layers")
class LayerScale(layers.Layer):
    """y = gamma * x, with one learned factor for each feature of the last axis.

    It stands at the end of a residual branch, ``x + LayerScale()(branch(x))``: with a small
    ``gamma`` every block starts near the identity.

    The product is taken in float32 at least, and ``gamma`` stays in float32 under mixed
    precision: float16 would round 1e-6 by 1.3 %.

    Args:
        initial_value: what every ``gamma`` starts from, a finite number. The paper takes 0.1
            up to depth 18, 1e-5 for depth 24 and 1e-6 beyond; ConvNeXt takes 1e-6.

    Shapes: any of rank 2 or more, with a known size of the last axis -> the same.

    Raises:
        ValueError: ``initial_value`` is not a finite number, or the input has no feature axis
            or one of unknown size.
    """

    def __init__(self, initial_value=1e-6, **kwargs):
        super().__init__(**kwargs)
        if not (isinstance(initial_value, numbers.Real) and math.isfinite(initial_value)):
            raise ValueError(f"initial_value must be a finite number, got {initial_value!r}.")
        self.initial_value = initial_value
        self.supports_masking = True

    def build(self, input_shape):
        # autocast=False: Keras would hand it to call() in half precision otherwise.
        self.gamma = self.add_weight(
            name="gamma",
            shape=(num_features(input_shape),),
            initializer=initializers.Constant(self.initial_value),
            autocast=False,
        )

    def call(self, inputs):
        return ops.cast(self.gamma * at_least_float32(inputs), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "initial_value": self.initial_value}
