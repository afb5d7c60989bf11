"""Learned positions.

Gehring, Auli, Grangier, Yarats and Dauphin 2017, "Convolutional Sequence to Sequence Learning",
arXiv:1705.03122, section 3.1; Devlin, Chang, Lee and Toutanova 2018, "BERT", arXiv:1810.04805,
section 3.
"""

import keras
from keras import layers, ops

from custom_layers.continuation import first_position


@keras.saving.register_keras_serializable("custom_layers")
class LearnedPositions(layers.Layer):
    """y[t] = x[t] + P[t], with one learned row of P for each position.

    Once ``predict`` or ``fit`` has seen two lengths, TensorFlow compiles for any, and does not know
    the length when this layer is called: a longer input is then the look-up's own error.

    Args:
        max_length: number of positions.

    Call arguments:
        inputs: (B, T, D). In a ``Continuation`` they follow other tokens, and t is counted on.

    Shapes: (B, T, D) -> the same.

    Raises:
        ValueError: ``max_length`` is no positive integer, or the input is longer.
    """

    def __init__(self, max_length, **kwargs):
        super().__init__(**kwargs)
        if not (isinstance(max_length, int) and max_length > 0):
            raise ValueError(f"max_length must be a positive integer, got {max_length!r}.")
        self.max_length = max_length
        self.supports_masking = True

    def build(self, input_shape):
        self.positions = self.add_weight(
            name="positions",
            shape=(self.max_length, input_shape[-1]),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),  # as BERT's
        )

    def call(self, inputs):
        start, length = first_position(), inputs.shape[1]
        end = start + length if isinstance(start, int) and length is not None else length
        if end is not None and end > self.max_length:
            raise ValueError(
                f"there are {self.max_length} positions, and the input goes up to {end}: shorten "
                f"it, or build the model with a max_length of {end}."
            )
        places = start + ops.arange(ops.shape(inputs)[1])
        return inputs + ops.take(self.positions, places, axis=0)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "max_length": self.max_length}
