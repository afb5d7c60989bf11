"""The gated feed-forward layer of today's language models.

Shazeer 2020, "GLU Variants Improve Transformer", arXiv:2002.05202, equation 6, FFN_SwiGLU.
"""

import keras
from keras import layers, ops

from custom_layers.input_shape import num_features


@keras.saving.register_keras_serializable("custom_layers")
class SwiGLU(layers.Layer):
    """y = (silu(x W_gate) * (x W_up)) W_down, with silu(z) = z * sigmoid(z).

    Args:
        hidden_width: features between the matrices. The paper takes 2/3 of what a feed-forward
            layer without a gate has, so that both have as many weights.

    Shapes: any of rank 2 or more, with a known size of the last axis -> the same.

    Raises:
        ValueError: ``hidden_width`` is no positive integer, or the input has no feature axis or
            one of unknown size.
    """

    def __init__(self, hidden_width, **kwargs):
        super().__init__(**kwargs)
        if not (isinstance(hidden_width, int) and hidden_width > 0):
            raise ValueError(f"hidden_width must be a positive integer, got {hidden_width!r}.")
        self.hidden_width = hidden_width
        self.supports_masking = True

    def build(self, input_shape):
        width = num_features(input_shape)
        self.gate = self.add_weight(name="gate", shape=(width, self.hidden_width))
        self.up = self.add_weight(name="up", shape=(width, self.hidden_width))
        self.down = self.add_weight(name="down", shape=(self.hidden_width, width))

    def call(self, inputs):
        gate, up = ops.matmul(inputs, self.gate), ops.matmul(inputs, self.up)
        return ops.matmul(gate * ops.sigmoid(gate) * up, self.down)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "hidden_width": self.hidden_width}
