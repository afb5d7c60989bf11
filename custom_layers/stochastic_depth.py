"""Stochastic depth.

Huang, Sun, Liu, Sedra and Weinberger 2016, "Deep Networks with Stochastic Depth",
arXiv:1603.09382, section 3.

Differs from the paper: each example draws for itself, where the paper draws once for a
whole batch; and in the inverted form, which scales in training and leaves inference alone.
So do torchvision ("row" mode) and timm (DropPath).
"""

import keras

from custom_layers.dropout import Dropout


@keras.saving.register_keras_serializable("custom_layers")
class StochasticDepth(Dropout):
    """Training: y = x * mask / (1 - rate), mask 0 for a whole example with probability ``rate``.

    Inference: y = x.

    It stands at the end of a residual branch, ``x + StochasticDepth(rate)(branch(x))``: where
    the mask is 0, the block is the identity. The paper lets the rate grow linearly with depth,
    from 0 at the input to 0.5 at the last block.

    This is Dropout with one entry of the mask for each example. The mask's bits, its new draw
    at every call and the saved state (seed, step) are those of Dropout.

    Args:
        rate: share of the examples that is dropped, in [0, 1].
        seed: integer in [0, 2**31). None draws one from Python's ``random``, as in Dropout.

    Shapes: any of rank 1 or more, examples first -> the same. The sizes may be unknown, and
    the rank is the same at every call.

    Raises:
        ValueError: ``rate`` or ``seed`` is out of range, or the input has no axis.
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(rate, None, seed, **kwargs)

    def build(self, input_shape):
        self.noise_shape = (None,) + (1,) * (len(input_shape) - 1)  # (B, 1, ..., 1)
        super().build(input_shape)

    def get_config(self):
        config = super().get_config()
        del config["noise_shape"]  # build() decides it
        return config
