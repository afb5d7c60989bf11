"""ResNet: residual networks.

He, Zhang, Ren and Sun 2015, "Deep Residual Learning for Image Recognition", arXiv:1512.03385,
table 1 and figure 5.

    image 224x224x3
    stem    convolution 7x7 / 2   -> 112x112x64
            max pooling 3x3 / 2   -> 56x56x64      ResNet-18, 34       ResNet-50, 101, 152
    stage1                        -> 56x56         64                  256
    stage2  first block / 2       -> 28x28         128                 512
    stage3  first block / 2       -> 14x14         256                 1,024
    stage4  first block / 2       -> 7x7           512                 2,048
    mean over positions, output   -> 1,000 logits

Differs from the paper: a bottleneck that halves the image does so in its 3x3 convolution, where
the paper has the stride in the first 1x1 ("ResNet v1.5", as torchvision and timm have it, whose
checkpoints fit).
"""

import keras
from keras import layers

from custom_layers import BatchNormalization
from zoo.input_shape import check_image_shape
from zoo.windows import convolution, max_pool


def normalize(x, name):
    """Any shape -> the same: batch normalization, with the constants of the checkpoints."""
    return BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)


def relu(x):
    """Any shape -> the same."""
    return layers.Activation("relu")(x)


def shortcut(x, filters, stride, name):
    """(B, H, W, C) -> (B, H/stride, W/stride, filters): the identity where that is its shape."""
    if stride == 1 and x.shape[-1] == filters:
        return x
    x = convolution(x, filters, 1, name=f"{name}_shortcut_conv", stride=stride)
    return normalize(x, name=f"{name}_shortcut_norm")


def basic_block(x, width, stride, name):
    """(B, H, W, C) -> (B, H/stride, W/stride, width): figure 5, left."""
    y = convolution(x, width, 3, name=f"{name}_conv1", stride=stride)
    y = relu(normalize(y, name=f"{name}_norm1"))
    y = convolution(y, width, 3, name=f"{name}_conv2")
    y = normalize(y, name=f"{name}_norm2")
    return relu(layers.Add(name=name)([y, shortcut(x, width, stride, name)]))


def bottleneck(x, width, stride, name):
    """(B, H, W, C) -> (B, H/stride, W/stride, 4 width): figure 5, right."""
    y = convolution(x, width, 1, name=f"{name}_conv1")
    y = relu(normalize(y, name=f"{name}_norm1"))
    y = convolution(y, width, 3, name=f"{name}_conv2", stride=stride)
    y = relu(normalize(y, name=f"{name}_norm2"))
    y = convolution(y, 4 * width, 1, name=f"{name}_conv3")
    y = normalize(y, name=f"{name}_norm3")
    return relu(layers.Add(name=name)([y, shortcut(x, 4 * width, stride, name)]))


def resnet(name, block, depths, num_classes=1000, input_shape=(224, 224, 3), width=64):
    """ResNet: images (B, H, W, C) of at least 32x32 -> logits (B, num_classes).

    Args:
        name: the model's name.
        block: ``block(x, width, stride, name)``, such as ``basic_block`` or ``bottleneck``.
        depths: number of blocks in each stage.
        num_classes: number of logits; None leaves the output layer out, and gives (B, features).
        input_shape: (H, W, C); None for H and W takes images of any size.
        width: maps of the stem and of the first stage's blocks; each stage doubles them.

    Raises:
        ValueError: the images are smaller than 32x32, or ``input_shape`` is not (H, W, C).
    """
    check_image_shape(name, input_shape, 32, "it halves them five times", any_size=True)
    image = keras.Input(input_shape, name="image")
    x = convolution(image, width, 7, name="stem_conv", stride=2)
    x = relu(normalize(x, name="stem_norm"))
    x = max_pool(x, 3, stride=2, name="stem_pool")
    for stage, depth in enumerate(depths, start=1):
        for index in range(1, depth + 1):
            stride = 2 if index == 1 and stage > 1 else 1
            x = block(x, width * 2 ** (stage - 1), stride, name=f"stage{stage}_block{index}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    if num_classes is not None:
        x = layers.Dense(num_classes, name="output")(x)
    return keras.Model(image, x, name=name)


def resnet18(depths=(2, 2, 2, 2), **arguments):
    return resnet("resnet18", basic_block, depths, **arguments)


def resnet34(depths=(3, 4, 6, 3), **arguments):
    return resnet("resnet34", basic_block, depths, **arguments)


def resnet50(depths=(3, 4, 6, 3), **arguments):
    return resnet("resnet50", bottleneck, depths, **arguments)


def resnet101(depths=(3, 4, 23, 3), **arguments):
    return resnet("resnet101", bottleneck, depths, **arguments)


def resnet152(depths=(3, 8, 36, 3), **arguments):
    return resnet("resnet152", bottleneck, depths, **arguments)
