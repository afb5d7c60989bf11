"""EfficientNet: depth, width and image size scaled together.

Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
arXiv:1905.11946, table 1 and section 3.3.

    image 224x224x3                                                EfficientNet-B0
    stem    convolution 3x3 / 2                            -> 112x112x32
    stage1  MBConv1, 3x3                     1 block       -> 112x112x16
    stage2  MBConv6, 3x3, first block / 2    2 blocks      -> 56x56x24
    stage3  MBConv6, 5x5, first block / 2    2             -> 28x28x40
    stage4  MBConv6, 3x3, first block / 2    3             -> 14x14x80
    stage5  MBConv6, 5x5                     3             -> 14x14x112
    stage6  MBConv6, 5x5, first block / 2    4             -> 7x7x192
    stage7  MBConv6, 3x3                     1             -> 7x7x320
    head    convolution 1x1                                -> 7x7x1,280
    mean over positions, output                            -> 1,000 logits

B1 to B7 have up to 2 times as many maps, 3.1 times as many blocks and 2.7 times larger images.
Differs from the paper's code: windows are centered where it pads an even image on the right only
(torchvision and timm, whose checkpoints fit, but for timm's names that begin with ``tf_``).

Batch normalization has the epsilon of torchvision's checkpoints: 1e-5, and 1e-3 from B5 on; timm's
have 1e-5 there too (``epsilon=1e-5``).
"""

import math

import keras
from keras import layers

from custom_layers import BatchNormalization, Dropout, StochasticDepth
from zoo.input_shape import check_image_shape
from zoo.windows import convolution, depthwise_convolution, rounded

# Table 1: expansion, window, maps, number of blocks, stride of the first.
STAGES = (
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
)


def swish(x):
    """Any shape -> the same: x sigmoid(x)."""
    return layers.Activation("silu")(x)


def squeeze_and_excite(x, squeezed, name):
    """(B, H, W, C) -> the same: each map times a weight that the means of all maps decide."""
    weight = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_mean")(x)
    weight = layers.Conv2D(squeezed, 1, activation="silu", name=f"{name}_squeeze")(weight)
    weight = layers.Conv2D(x.shape[-1], 1, activation="sigmoid", name=f"{name}_excite")(weight)
    return layers.Multiply(name=f"{name}_scale")([x, weight])  # (B, H, W, C) * (B, 1, 1, C)


def mbconv(x, expansion, size, filters, stride, drop_rate, normalize, name):
    """(B, H, W, C) -> (B, H/stride, W/stride, filters)."""
    y = x
    if expansion > 1:
        y = convolution(y, expansion * x.shape[-1], 1, name=f"{name}_expand_conv")
        y = swish(normalize(y, name=f"{name}_expand_norm"))
    y = depthwise_convolution(y, size, name=f"{name}_depthwise_conv", stride=stride)
    y = swish(normalize(y, name=f"{name}_depthwise_norm"))
    y = squeeze_and_excite(y, max(1, x.shape[-1] // 4), name)
    y = convolution(y, filters, 1, name=f"{name}_project_conv")
    y = normalize(y, name=f"{name}_project_norm")
    if stride > 1 or filters != x.shape[-1]:
        return y
    return layers.Add(name=name)([x, StochasticDepth(drop_rate, name=f"{name}_drop")(y)])


def efficientnet(
    name, width_multiplier, depth_multiplier, num_classes=1000, input_shape=(224, 224, 3),
    dropout_rate=0.2, stochastic_depth_rate=0.2, epsilon=1e-5,
):  # fmt: skip
    """EfficientNet: images (B, H, W, C) of at least 32x32 -> logits (B, num_classes).

    Args:
        name: the model's name.
        width_multiplier: all maps are so many times as many, rounded to multiples of 8.
        depth_multiplier: all stages have so many times as many blocks, rounded up.
        num_classes: number of logits; None leaves the output layer out, and gives (B, features).
        input_shape: (H, W, C); None for H and W takes images of any size.
        dropout_rate: share of the last features that is dropped in training.
        stochastic_depth_rate: share of the examples that skip a block in training; it grows from 0
            at the first block, and would be reached behind the last one.
        epsilon: of batch normalization, as the checkpoint has it.

    Raises:
        ValueError: the images are smaller than 32x32, or ``input_shape`` is not (H, W, C).
    """
    check_image_shape(name, input_shape, 32, "it halves them five times", any_size=True)

    def normalize(x, name):
        return BatchNormalization(momentum=0.99, epsilon=epsilon, name=name)(x)

    depths = [math.ceil(depth * depth_multiplier) for _, _, _, depth, _ in STAGES]
    image = keras.Input(input_shape, name="image")
    x = convolution(image, rounded(32 * width_multiplier), 3, name="stem_conv", stride=2)
    x = swish(normalize(x, name="stem_norm"))
    done = 0
    for stage, (expansion, size, filters, _, first_stride) in enumerate(STAGES, start=1):
        for index in range(1, depths[stage - 1] + 1):
            x = mbconv(
                x, expansion, size, rounded(filters * width_multiplier),
                stride=first_stride if index == 1 else 1,
                drop_rate=stochastic_depth_rate * done / sum(depths),
                normalize=normalize, name=f"stage{stage}_block{index}",
            )  # fmt: skip
            done += 1
    x = convolution(x, 4 * x.shape[-1], 1, name="head_conv")
    x = swish(normalize(x, name="head_norm"))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    if num_classes is not None:
        x = Dropout(dropout_rate, name="dropout")(x)
        x = layers.Dense(num_classes, name="output")(x)
    return keras.Model(image, x, name=name)


def scaled(width_multiplier, depth_multiplier, size, dropout_rate, epsilon=1e-5):
    """The arguments of a variant, whose images are ``size`` pixels high and wide."""
    return {
        "width_multiplier": width_multiplier, "depth_multiplier": depth_multiplier,
        "input_shape": (size, size, 3), "dropout_rate": dropout_rate, "epsilon": epsilon,
    }  # fmt: skip


def efficientnet_b0(**arguments):
    return efficientnet("efficientnet_b0", **scaled(1.0, 1.0, 224, 0.2) | arguments)


def efficientnet_b1(**arguments):
    return efficientnet("efficientnet_b1", **scaled(1.0, 1.1, 240, 0.2) | arguments)


def efficientnet_b2(**arguments):
    return efficientnet("efficientnet_b2", **scaled(1.1, 1.2, 260, 0.3) | arguments)


def efficientnet_b3(**arguments):
    return efficientnet("efficientnet_b3", **scaled(1.2, 1.4, 300, 0.3) | arguments)


def efficientnet_b4(**arguments):
    return efficientnet("efficientnet_b4", **scaled(1.4, 1.8, 380, 0.4) | arguments)


def efficientnet_b5(**arguments):
    return efficientnet("efficientnet_b5", **scaled(1.6, 2.2, 456, 0.4, 1e-3) | arguments)


def efficientnet_b6(**arguments):
    return efficientnet("efficientnet_b6", **scaled(1.8, 2.6, 528, 0.5, 1e-3) | arguments)


def efficientnet_b7(**arguments):
    return efficientnet("efficientnet_b7", **scaled(2.0, 3.1, 600, 0.5, 1e-3) | arguments)
