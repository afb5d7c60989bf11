"""A learned token in front of a sequence.

Devlin, Chang, Lee and Toutanova 2018, "BERT", arXiv:1810.04805, section 3, where it is called CLS;
for images: Dosovitskiy et al. 2020, "An Image is Worth 16x16 Words", arXiv:2010.11929, equation 1.
"""

import keras
from keras import layers, ops

from custom_layers.input_shape import num_features


@keras.saving.register_keras_serializable("custom_layers")
class LearnedToken(layers.Layer):
    """y = (c, x[1], ..., x[T]), with one learned c, the same for all examples.

    What later layers of attention gather in its place stands for the whole sequence.

    Shapes: (B, T, D) -> (B, T + 1, D).

    Raises:
        ValueError: the input is not (B, T, D) of a known D.
    """

    def build(self, input_shape):
        width = num_features(input_shape)
        if len(input_shape) != 3:
            raise ValueError(f"the input must be (B, T, D), got {tuple(input_shape)}.")
        self.token = self.add_weight(
            name="token",
            shape=(1, 1, width),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),  # as DeiT's
        )

    def call(self, inputs):
        token = ops.broadcast_to(self.token, (ops.shape(inputs)[0], 1, inputs.shape[-1]))
        return ops.concatenate([token, inputs], axis=1)

    def compute_output_shape(self, input_shape):
        batch, times, width = input_shape
        return batch, None if times is None else times + 1, width
