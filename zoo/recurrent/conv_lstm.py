"""Convolutional LSTM: the next frames of a sequence of frames.

Shi, Chen, Wang, Yeung, Wong and Woo 2015, "Convolutional LSTM Network: A Machine Learning Approach
for Precipitation Nowcasting", arXiv:1506.04214, figure 3 and section 4.1 (moving digits).

    frames       (B, T, 64, 64, 1)
    patches      of 4x4 pixels                                 -> (B, T, 16, 16, 16)
    encoder1     convolutions 5x5 of input and state           -> (B, T, 16, 16, 128)
    encoder2                                                   -> (B, T, 16, 16, 64)
    encoder3                                                   -> (B, T, 16, 16, 64)
    forecaster1  from the last states of encoder1, no input    -> (B, 10, 16, 16, 128)
    forecaster2  from those of encoder2, sees forecaster1      -> (B, 10, 16, 16, 64)
    forecaster3  from those of encoder3, sees forecaster2      -> (B, 10, 16, 16, 64)
    output       convolution 1x1 of all three forecasters      -> (B, 10, 16, 16, 16)
    forecast     patches put together                          -> (B, 10, 64, 64, 1), logits

The loss is the binary cross-entropy of each pixel, a value from 0 to 1. ``custom_layers.ConvLSTM``
has the equations in code. Keras's own ConvLSTM2D always has a kernel for its input, which no
gradient would reach in forecaster1, and no peepholes.

The paper's radar maps of 100x100 go through patches of 2x2, two layers of 64 and kernels 3x3.
"""

import keras
from keras import layers, ops

from custom_layers import ConvLSTM
from zoo.sizes import check_positive, is_size


def patches(x, size):
    """(B, T, H, W, C) -> (B, T, H/size, W/size, size size C): what a patch has, as maps."""
    height, width, channels = x.shape[2:]
    height, width = height // size, width // size
    x = layers.Reshape((-1, height, size, width, size, channels))(x)
    x = layers.Permute((1, 2, 4, 3, 5, 6))(x)
    return layers.Reshape((-1, height, width, size * size * channels), name="patches")(x)


def frames(x, size):
    """(B, T, H, W, size size C) -> (B, T, size H, size W, C): ``patches`` undone."""
    time, height, width, maps = x.shape[1:]
    channels = maps // size**2
    x = layers.Reshape((time, height, width, size, size, channels))(x)
    x = layers.Permute((1, 2, 4, 3, 5, 6))(x)
    return layers.Reshape((time, size * height, size * width, channels), name="forecast")(x)


def input_to_state(x, width, kernel_size, name):
    """(B, T, H, W, C) -> (B, T, H, W, 4 width): a convolution of each frame."""
    return layers.Conv3D(
        4 * width, (1, kernel_size, kernel_size), padding="same", use_bias=False,
        name=f"{name}_input",
    )(x)  # fmt: skip


def no_input(h, horizon):
    """(B, H, W, D) -> zeros (B, horizon, H, W, 4 D)."""
    return ops.tile(ops.expand_dims(ops.zeros_like(h), 1), (1, horizon, 1, 1, 4))


def conv_lstm(
    horizon=10, input_shape=(None, 64, 64, 1), widths=(128, 64, 64), input_kernel_size=5,
    state_kernel_size=5, patch_size=4,
):  # fmt: skip
    """Frames (B, T, H, W, C) -> logits of the next ones (B, horizon, H, W, C).

    Args:
        horizon: number of frames that are forecast.
        input_shape: (T, H, W, C); T may be None, for sequences of any length.
        widths: maps of each layer of the encoder, and of the forecaster.
        input_kernel_size: height and width of the kernels that see a layer's input.
        state_kernel_size: of those that see its last state; the larger, the faster the motion.
        patch_size: height and width of the patches, whose pixels become maps; 1 leaves frames
            as they are.

    Raises:
        ValueError: H or W is no multiple of ``patch_size``, ``input_shape`` is not (T, H, W, C) of
            known H, W and C, or a number is no positive integer.
    """
    check_positive(
        "conv_lstm", horizon=horizon, input_kernel_size=input_kernel_size,
        state_kernel_size=state_kernel_size, patch_size=patch_size,
    )  # fmt: skip
    _check_widths(widths)
    _check_frames(input_shape, patch_size)

    given = keras.Input(input_shape, name="frames")
    x = patches(given, patch_size)
    last_states = []
    for index, width in enumerate(widths, start=1):
        x = input_to_state(x, width, input_kernel_size, name=f"encoder{index}")
        x, *states = ConvLSTM(width, state_kernel_size, name=f"encoder{index}")(x)
        last_states.append(states)

    outputs = []
    for index, (width, (h, c)) in enumerate(zip(widths, last_states, strict=True), start=1):
        name = f"forecaster{index}"
        if index == 1:
            x = no_input(h, horizon)
        else:
            x = input_to_state(x, width, input_kernel_size, name=name)
        x, _, _ = ConvLSTM(width, state_kernel_size, name=name)(x, h, c)
        outputs.append(x)
    x = layers.Concatenate(name="forecasters")(outputs)
    x = layers.Conv3D(patch_size**2 * input_shape[-1], 1, name="output")(x)
    return keras.Model(given, frames(x, patch_size), name="conv_lstm")


def _check_widths(widths):
    if not (isinstance(widths, (tuple, list)) and widths and all(map(is_size, widths))):
        raise ValueError(
            f"conv_lstm needs widths, an integer of 1 or more for each layer, such as "
            f"(128, 64, 64), got {widths!r}."
        )


def _check_frames(input_shape, patch_size):
    fits = isinstance(input_shape, (tuple, list)) and len(input_shape) == 4
    if fits:
        time, height, width, channels = input_shape
        fits = (time is None or is_size(time)) and all(map(is_size, (height, width, channels)))
    if not fits:
        raise ValueError(
            f"conv_lstm needs input_shape (T, H, W, C) of known sizes, but for T, which may be "
            f"None, got {input_shape!r}: give those of your frames, such as (None, 64, 64, 1)."
        )
    if height % patch_size or width % patch_size:
        raise ValueError(
            f"conv_lstm cannot cut frames of {height}x{width} into patches of {patch_size}x"
            f"{patch_size}: pad or crop them to a multiple of {patch_size}, or give a patch_size "
            f"that divides both."
        )
