"""Root mean square normalization.

Zhang and Sennrich 2019, "Root Mean Square Layer Normalization", arXiv:1910.07467, equation 4.
"""

import keras
from keras import layers, ops

from custom_layers.input_shape import num_features
from custom_layers.precision import at_least_float32


@keras.saving.register_keras_serializable("custom_layers")
class RMSNormalization(layers.Layer):
    """y = gamma * x / sqrt(mean(x**2) + epsilon), the mean over the features of the last axis.

    Layer normalization without its mean and its bias. All is computed in float32 at least, and
    ``gamma`` stays in float32 under mixed precision.

    Args:
        epsilon: a positive number, so that features that are all 0 divide by none.

    Shapes: any of rank 2 or more, with a known size of the last axis -> the same.

    Raises:
        ValueError: ``epsilon`` is not positive, or the input has no feature axis or one of
            unknown size.
    """

    def __init__(self, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        if not epsilon > 0:
            raise ValueError(f"epsilon must be positive, got {epsilon!r}.")
        self.epsilon = epsilon
        self.supports_masking = True

    def build(self, input_shape):
        # autocast=False: Keras would hand it to call() in half precision otherwise.
        self.gamma = self.add_weight(
            name="gamma", shape=(num_features(input_shape),), initializer="ones", autocast=False
        )

    def call(self, inputs):
        x = at_least_float32(inputs)
        mean_of_squares = ops.mean(ops.square(x), axis=-1, keepdims=True)
        y = self.gamma * x * ops.rsqrt(mean_of_squares + self.epsilon)
        return ops.cast(y, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}
