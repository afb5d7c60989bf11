"""ConvNeXt: a convolutional network with what made vision transformers good.

Liu, Mao, Wu, Feichtenhofer, Darrell and Xie 2022, "A ConvNet for the 2020s", arXiv:2201.03545,
figure 4 and section 2; sizes in section 3.

    image 224x224x3                                ConvNeXt-T   S    B      L
    stem    patches of 4x4      -> 56x56 maps             96    96   128    192
    stage1                      -> 56x56                  96    96   128    192
    stage2  halved before it    -> 28x28                  192   192  256    384
    stage3  halved before it    -> 14x14                  384   384  512    768
    stage4  halved before it    -> 7x7                    768   768  1,024  1,536
    mean over positions, norm, output   -> 1,000 logits

Stages have 3, 3, 9 (S, B, L: 27) and 3 blocks.
"""

import keras
from keras import initializers, layers

from custom_layers import GELU, LayerScale, StochasticDepth
from zoo.input_shape import check_image_shape


def normalize(x, name):
    """(..., C) -> the same: layer normalization over the maps of each pixel."""
    return layers.LayerNormalization(epsilon=1e-6, name=name)(x)


def _small():
    """Initial weights: section A.1."""
    return initializers.TruncatedNormal(stddev=0.02)


def patches(x, filters, size, name):
    """(B, H, W, C) -> (B, H/size, W/size, filters): windows that do not overlap."""
    window = layers.Conv2D(filters, size, strides=size, kernel_initializer=_small(), name=name)
    return window(x)


def block(x, drop_rate, name):
    """(B, H, W, C) -> the same: figure 4, right."""
    filters = x.shape[-1]
    y = layers.DepthwiseConv2D(
        7, padding="same", depthwise_initializer=_small(), name=f"{name}_depthwise"
    )(x)
    y = normalize(y, name=f"{name}_norm")
    y = layers.Dense(4 * filters, kernel_initializer=_small(), name=f"{name}_expand")(y)
    y = GELU(name=f"{name}_gelu")(y)
    y = layers.Dense(filters, kernel_initializer=_small(), name=f"{name}_project")(y)
    y = LayerScale(1e-6, name=f"{name}_scale")(y)
    y = StochasticDepth(drop_rate, name=f"{name}_drop")(y)
    return layers.Add(name=name)([x, y])


def convnext(
    name, depths, width, stochastic_depth_rate, num_classes=1000, input_shape=(224, 224, 3)
):
    """ConvNeXt: images (B, H, W, C) of at least 32x32 -> logits (B, num_classes).

    Args:
        name: the model's name.
        depths: number of blocks in each stage.
        width: maps of the first stage; each stage doubles them.
        stochastic_depth_rate: share of the examples that skip the last block in training; in the
            blocks before it the share grows from 0.
        num_classes: number of logits; None leaves the output layer out, and gives (B, features).
        input_shape: (H, W, C); None for H and W takes images of any size.

    Raises:
        ValueError: the images are smaller than 32x32, or ``input_shape`` is not (H, W, C).
    """
    check_image_shape(name, input_shape, 32, "it takes every 32nd pixel", any_size=True)
    image = keras.Input(input_shape, name="image")
    x = patches(image, width, 4, name="stem_conv")
    x = normalize(x, name="stem_norm")
    done, last = 0, sum(depths) - 1
    for stage, depth in enumerate(depths, start=1):
        if stage > 1:
            x = normalize(x, name=f"stage{stage}_norm")
            x = patches(x, width * 2 ** (stage - 1), 2, name=f"stage{stage}_conv")
        for index in range(1, depth + 1):
            x = block(x, stochastic_depth_rate * done / last, name=f"stage{stage}_block{index}")
            done += 1
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = normalize(x, name="norm")
    if num_classes is not None:
        x = layers.Dense(num_classes, kernel_initializer=_small(), name="output")(x)
    return keras.Model(image, x, name=name)


def convnext_tiny(depths=(3, 3, 9, 3), width=96, stochastic_depth_rate=0.1, **arguments):
    return convnext("convnext_tiny", depths, width, stochastic_depth_rate, **arguments)


def convnext_small(depths=(3, 3, 27, 3), width=96, stochastic_depth_rate=0.4, **arguments):
    return convnext("convnext_small", depths, width, stochastic_depth_rate, **arguments)


def convnext_base(depths=(3, 3, 27, 3), width=128, stochastic_depth_rate=0.5, **arguments):
    return convnext("convnext_base", depths, width, stochastic_depth_rate, **arguments)


def convnext_large(depths=(3, 3, 27, 3), width=192, stochastic_depth_rate=0.5, **arguments):
    return convnext("convnext_large", depths, width, stochastic_depth_rate, **arguments)
