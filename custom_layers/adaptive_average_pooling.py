"""Average pooling to a map of fixed size.

He, Zhang, Ren and Sun 2014, "Spatial Pyramid Pooling in Deep Convolutional Networks for Visual
Recognition", arXiv:1406.4729, section 2.3: windows in proportion to the image.
"""

import keras
import numpy as np
from keras import layers, ops

from custom_layers.precision import at_least_float32


@keras.saving.register_keras_serializable("custom_layers")
class AdaptiveAveragePooling2D(layers.Layer):
    """y[i, j] = mean of the pixels in rows floor(i H / S) to ceil((i + 1) H / S) - 1, and in
    columns floor(j W / S) to ceil((j + 1) W / S) - 1, for i and j from 0 to S - 1, map by map.

    These S x S windows cover an image of whatever size, for dense layers behind them that know
    one size only. Where H or W is below S, windows share pixels.

    The means are taken in float32 at least.

    Args:
        output_size: S, an integer of 1 or more.

    Shapes: (B, H, W, C) -> (B, S, S, C); H and W must be known.

    Raises:
        ValueError: ``output_size`` is none, or the input has no such shape.
    """

    def __init__(self, output_size, **kwargs):
        super().__init__(**kwargs)
        if not (isinstance(output_size, int) and output_size >= 1):
            raise ValueError(f"output_size must be an integer of 1 or more, got {output_size!r}.")
        self.output_size = output_size

    def build(self, input_shape):
        if len(input_shape) != 4 or None in input_shape[1:3]:
            raise ValueError(
                f"the input needs shape (B, H, W, C) with known H and W, got {tuple(input_shape)}."
            )
        self._rows, self._columns = (self._shares(size) for size in input_shape[1:3])

    def call(self, inputs):
        x = at_least_float32(inputs)
        x = ops.einsum("ih,bhwc->biwc", ops.cast(self._rows, x.dtype), x)
        x = ops.einsum("jw,biwc->bijc", ops.cast(self._columns, x.dtype), x)
        return ops.cast(x, self.compute_dtype)  # (B, S, S, C)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.output_size, self.output_size, input_shape[3])

    def get_config(self):
        return {**super().get_config(), "output_size": self.output_size}

    def _shares(self, size):
        """The share that each pixel of an axis has in each window, (S, size)."""
        shares = np.zeros((self.output_size, size), "float32")
        for index in range(self.output_size):
            start = index * size // self.output_size
            end = -(-(index + 1) * size // self.output_size)
            shares[index, start:end] = 1 / (end - start)
        return shares
