"""ResNet for CIFAR-10: residual networks for small pictures.

He, Zhang, Ren and Sun 2015, "Deep Residual Learning for Image Recognition", arXiv:1512.03385,
section 4.2.

    image 32x32x3
    stem    convolution 3x3         -> 32x32x16
    stage1  2n convolutions         -> 32x32x16
    stage2  2n, the first / 2       -> 16x16x32
    stage3  2n, the first / 2       -> 8x8x64
    mean over positions, output     -> 10 logits

6n + 2 layers: n is 3, 5, 7, 9 and 18 for ResNet-20, 32, 44, 56 and 110, whose weights the paper
gives as 0.27, 0.46, 0.66, 0.85 and 1.7 million. Shortcuts have none (the paper's option A).
"""

import keras
from keras import layers, ops

from zoo.convolutional.resnet import normalize, relu
from zoo.input_shape import check_image_shape
from zoo.windows import convolution


def shortcut(x, filters, stride):
    """(B, H, W, C) -> (B, H/stride, W/stride, filters): every other pixel, and maps of zeros."""
    if stride > 1:
        x = x[:, ::stride, ::stride, :]
    new = filters - x.shape[-1]
    return ops.pad(x, ((0, 0), (0, 0), (0, 0), (new // 2, new - new // 2))) if new else x


def block(x, filters, stride, name):
    """(B, H, W, C) -> (B, H/stride, W/stride, filters)."""
    y = convolution(x, filters, 3, name=f"{name}_conv1", stride=stride)
    y = relu(normalize(y, name=f"{name}_norm1"))
    y = convolution(y, filters, 3, name=f"{name}_conv2")
    y = normalize(y, name=f"{name}_norm2")
    return relu(layers.Add(name=name)([y, shortcut(x, filters, stride)]))


def resnet_cifar(name, depth, num_classes=10, input_shape=(32, 32, 3), width=16):
    """ResNet for small pictures: (B, H, W, C) of at least 4x4 -> logits (B, num_classes).

    Args:
        name: the model's name.
        depth: number of blocks in each stage, the paper's n.
        num_classes: number of logits; None leaves the output layer out, and gives (B, features).
        input_shape: (H, W, C); None for H and W takes images of any size.
        width: maps of the stem and of the first stage; each stage doubles them.

    Raises:
        ValueError: the images are smaller than 4x4, or ``input_shape`` is not (H, W, C).
    """
    check_image_shape(name, input_shape, 4, "it halves them twice", any_size=True)
    image = keras.Input(input_shape, name="image")
    x = convolution(image, width, 3, name="stem_conv")
    x = relu(normalize(x, name="stem_norm"))
    for stage in (1, 2, 3):
        for index in range(1, depth + 1):
            stride = 2 if index == 1 and stage > 1 else 1
            x = block(x, width * 2 ** (stage - 1), stride, name=f"stage{stage}_block{index}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    if num_classes is not None:
        x = layers.Dense(num_classes, name="output")(x)
    return keras.Model(image, x, name=name)


def resnet20_cifar(depth=3, **arguments):
    return resnet_cifar("resnet20_cifar", depth, **arguments)


def resnet32_cifar(depth=5, **arguments):
    return resnet_cifar("resnet32_cifar", depth, **arguments)


def resnet44_cifar(depth=7, **arguments):
    return resnet_cifar("resnet44_cifar", depth, **arguments)


def resnet56_cifar(depth=9, **arguments):
    return resnet_cifar("resnet56_cifar", depth, **arguments)


def resnet110_cifar(depth=18, **arguments):
    return resnet_cifar("resnet110_cifar", depth, **arguments)
