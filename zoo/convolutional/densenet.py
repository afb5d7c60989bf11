"""DenseNet: each layer sees all before it.

Huang, Liu, van der Maaten and Weinberger 2016, "Densely Connected Convolutional Networks",
arXiv:1608.06993, table 1 and section 3 (DenseNet-BC).

    image 224x224x3                                       layers in DenseNet-121  169  201
    stem    convolution 7x7 / 2   -> 112x112x64
            max pooling 3x3 / 2   -> 56x56x64
    block1, transition1           -> 28x28x128                          6    6    6
    block2, transition2           -> 14x14x256                          12   12   12
    block3, transition3           -> 7x7x512 (640, 896)                 24   32   48
    block4                        -> 7x7x1,024 (1,664, 1,920)           16   32   32
    mean over positions, output   -> 1,000 logits

Each layer adds 32 maps, the growth rate.
"""

import keras
from keras import layers

from custom_layers import BatchNormalization
from zoo.input_shape import check_image_shape
from zoo.windows import convolution, max_pool


def normalized_relu(x, name):
    """Any shape -> the same: batch normalization and ReLU, which come before a convolution."""
    x = BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)
    return layers.Activation("relu")(x)


def dense_layer(x, growth_rate, name):
    """(B, H, W, C) -> (B, H, W, C + growth_rate)."""
    y = normalized_relu(x, name=f"{name}_norm1")
    y = convolution(y, 4 * growth_rate, 1, name=f"{name}_conv1")
    y = normalized_relu(y, name=f"{name}_norm2")
    y = convolution(y, growth_rate, 3, name=f"{name}_conv2")
    return layers.Concatenate(name=name)([x, y])


def transition(x, name):
    """(B, H, W, C) -> (B, H/2, W/2, C/2)."""
    x = normalized_relu(x, name=f"{name}_norm")
    x = convolution(x, x.shape[-1] // 2, 1, name=f"{name}_conv")
    return layers.AveragePooling2D(2, name=f"{name}_pool")(x)


def densenet(name, depths, num_classes=1000, input_shape=(224, 224, 3), growth_rate=32, width=64):
    """DenseNet: images (B, H, W, C) of at least 32x32 -> logits (B, num_classes).

    Args:
        name: the model's name.
        depths: number of layers in each block.
        num_classes: number of logits; None leaves the output layer out, and gives (B, features).
        input_shape: (H, W, C); None for H and W takes images of any size.
        growth_rate: maps that a layer adds.
        width: maps of the stem.

    Raises:
        ValueError: the images are smaller than 32x32, or ``input_shape`` is not (H, W, C).
    """
    check_image_shape(name, input_shape, 32, "it halves them five times", any_size=True)
    image = keras.Input(input_shape, name="image")
    x = convolution(image, width, 7, name="stem_conv", stride=2)
    x = normalized_relu(x, name="stem_norm")
    x = max_pool(x, 3, stride=2, name="stem_pool")
    for block, depth in enumerate(depths, start=1):
        if block > 1:
            x = transition(x, name=f"transition{block - 1}")
        for index in range(1, depth + 1):
            x = dense_layer(x, growth_rate, name=f"block{block}_layer{index}")
    x = normalized_relu(x, name="norm")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    if num_classes is not None:
        x = layers.Dense(num_classes, name="output")(x)
    return keras.Model(image, x, name=name)


def densenet121(depths=(6, 12, 24, 16), **arguments):
    return densenet("densenet121", depths, **arguments)


def densenet169(depths=(6, 12, 32, 32), **arguments):
    return densenet("densenet169", depths, **arguments)


def densenet201(depths=(6, 12, 48, 32), **arguments):
    return densenet("densenet201", depths, **arguments)
