"""MobileNetV2: inverted residuals with linear bottlenecks.

Sandler, Howard, Zhu, Zhmoginov and Chen 2018, "MobileNetV2: Inverted Residuals and Linear
Bottlenecks", arXiv:1801.04381, table 2 and figure 4 (d).

    image 224x224x3
    stem    convolution 3x3 / 2                          -> 112x112x32
    stage1                           1 block             -> 112x112x16     expanded by 1
    stage2  first block / 2          2 blocks            -> 56x56x24                   6
    stage3  first block / 2          3                   -> 28x28x32                   6
    stage4  first block / 2          4                   -> 14x14x64                   6
    stage5                           3                   -> 14x14x96                   6
    stage6  first block / 2          3                   -> 7x7x160                    6
    stage7                           1                   -> 7x7x320                    6
    head    convolution 1x1                              -> 7x7x1,280
    mean over positions, output                          -> 1,000 logits
"""

import keras
from keras import layers

from custom_layers import BatchNormalization, Dropout
from zoo.input_shape import check_image_shape
from zoo.windows import convolution, depthwise_convolution, rounded

# Table 2: expansion, maps, number of blocks, stride of the first.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def normalize(x, name):
    """Any shape -> the same: batch normalization, with the constants of the checkpoints."""
    return BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)


def relu6(x):
    """Any shape -> the same."""
    return layers.Activation("relu6")(x)


def inverted_residual(x, expansion, filters, stride, name):
    """(B, H, W, C) -> (B, H/stride, W/stride, filters): figure 4 (d)."""
    y = x
    if expansion > 1:
        y = convolution(y, expansion * x.shape[-1], 1, name=f"{name}_expand_conv")
        y = relu6(normalize(y, name=f"{name}_expand_norm"))
    y = depthwise_convolution(y, 3, name=f"{name}_depthwise_conv", stride=stride)
    y = relu6(normalize(y, name=f"{name}_depthwise_norm"))
    y = convolution(y, filters, 1, name=f"{name}_project_conv")
    y = normalize(y, name=f"{name}_project_norm")  # linear: no ReLU
    return layers.Add(name=name)([x, y]) if y.shape[1:] == x.shape[1:] and stride == 1 else y


def mobilenet_v2(
    num_classes=1000, input_shape=(224, 224, 3), width_multiplier=1.0, dropout_rate=0.2
):
    """MobileNetV2: images (B, H, W, C) of at least 32x32 -> logits (B, num_classes).

    Args:
        num_classes: number of logits; None leaves the output layer out, and gives (B, features).
        input_shape: (H, W, C); None for H and W takes images of any size.
        width_multiplier: all maps are so many times as many, rounded to multiples of 8; those of
            the head only where it is above 1.
        dropout_rate: share of the last features that is dropped in training.

    Raises:
        ValueError: the images are smaller than 32x32, or ``input_shape`` is not (H, W, C).
    """
    check_image_shape("mobilenet_v2", input_shape, 32, "it halves them five times", any_size=True)
    image = keras.Input(input_shape, name="image")
    x = convolution(image, rounded(32 * width_multiplier), 3, name="stem_conv", stride=2)
    x = relu6(normalize(x, name="stem_norm"))
    for stage, (expansion, filters, depth, first_stride) in enumerate(STAGES, start=1):
        for index in range(1, depth + 1):
            x = inverted_residual(
                x, expansion, rounded(filters * width_multiplier),
                stride=first_stride if index == 1 else 1, name=f"stage{stage}_block{index}",
            )  # fmt: skip
    x = convolution(x, rounded(1280 * max(1.0, width_multiplier)), 1, name="head_conv")
    x = relu6(normalize(x, name="head_norm"))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    if num_classes is not None:
        x = Dropout(dropout_rate, name="dropout")(x)
        x = layers.Dense(num_classes, name="output")(x)
    return keras.Model(image, x, name="mobilenet_v2")
