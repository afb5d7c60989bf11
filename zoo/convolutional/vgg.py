"""VGG: depth by small convolutions.

Simonyan and Zisserman 2014, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
arXiv:1409.1556, tables 1 and 2.

    image 224x224x3                                convolutions 3x3 in VGG-11  13  16  19
    stage1, max pooling 2x2     -> 112x112x64                           1   2   2   2
    stage2, max pooling 2x2     -> 56x56x128                            1   2   2   2
    stage3, max pooling 2x2     -> 28x28x256                            2   2   3   4
    stage4, max pooling 2x2     -> 14x14x512                            2   2   3   4
    stage5, max pooling 2x2     -> 7x7x512                              2   2   3   4
    fc6, fc7                    -> 4,096 each, with dropout behind
    output                      -> 1,000 logits

The paper's configurations A, B, D and E. Those with batch normalization (``_bn``) are younger
than the paper (Ioffe and Szegedy 2015) and easier to train. Checkpoints of torchvision and timm
fit both.
Differs from the paper: images of other sizes are averaged to 7x7 before fc6.
"""

import keras
from keras import layers

from custom_layers import AdaptiveAveragePooling2D, BatchNormalization, Dropout
from zoo.input_shape import check_image_shape
from zoo.windows import convolution

# Convolutions of each stage, by the number of layers that have weights.
DEPTHS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}


def convolution_block(x, filters, batch_norm, name):
    """(B, H, W, C) -> (B, H, W, filters)."""
    x = convolution(x, filters, 3, name=f"{name}_conv", use_bias=True)
    if batch_norm:
        x = BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_norm")(x)
    return layers.Activation("relu")(x)


def vgg(
    name, depths, batch_norm, num_classes=1000, input_shape=(224, 224, 3), width=64,
    dense_width=4096, dropout_rate=0.5,
):  # fmt: skip
    """VGG: images (B, H, W, C) of at least 32x32 -> logits (B, num_classes).

    Args:
        name: the model's name.
        depths: number of convolutions in each stage.
        batch_norm: whether each convolution has batch normalization behind it.
        num_classes: number of logits; None leaves the output layer out, and gives (B, dense_width).
        input_shape: (H, W, C).
        width: maps of the first stage; the stages after it have 2, 4, 8 and 8 times as many.
        dense_width: width of fc6 and fc7.
        dropout_rate: share of the outputs of fc6 and of fc7 that is dropped in training.

    Raises:
        ValueError: the images are smaller than 32x32, or ``input_shape`` is not (H, W, C).
    """
    check_image_shape(name, input_shape, 32, "it halves them five times")
    image = x = keras.Input(input_shape, name="image")
    for stage, depth in enumerate(depths, start=1):
        for index in range(1, depth + 1):
            filters = width * min(2 ** (stage - 1), 8)
            x = convolution_block(x, filters, batch_norm, name=f"stage{stage}_block{index}")
        x = layers.MaxPooling2D(2, name=f"stage{stage}_pool")(x)
    x = AdaptiveAveragePooling2D(7, name="pool")(x)  # (B, 7, 7, C)
    # Fully connected: one window over all of it.
    x = layers.Conv2D(dense_width, 7, activation="relu", name="fc6")(x)  # (B, 1, 1, D)
    x = Dropout(dropout_rate, name="drop6")(layers.Flatten(name="flatten")(x))  # (B, D)
    x = layers.Dense(dense_width, activation="relu", name="fc7")(x)
    x = Dropout(dropout_rate, name="drop7")(x)
    if num_classes is not None:
        x = layers.Dense(num_classes, name="output")(x)
    return keras.Model(image, x, name=name)


def vgg11(depths=DEPTHS[11], **arguments):
    return vgg("vgg11", depths, batch_norm=False, **arguments)


def vgg13(depths=DEPTHS[13], **arguments):
    return vgg("vgg13", depths, batch_norm=False, **arguments)


def vgg16(depths=DEPTHS[16], **arguments):
    return vgg("vgg16", depths, batch_norm=False, **arguments)


def vgg19(depths=DEPTHS[19], **arguments):
    return vgg("vgg19", depths, batch_norm=False, **arguments)


def vgg11_bn(depths=DEPTHS[11], **arguments):
    return vgg("vgg11_bn", depths, batch_norm=True, **arguments)


def vgg13_bn(depths=DEPTHS[13], **arguments):
    return vgg("vgg13_bn", depths, batch_norm=True, **arguments)


def vgg16_bn(depths=DEPTHS[16], **arguments):
    return vgg("vgg16_bn", depths, batch_norm=True, **arguments)


def vgg19_bn(depths=DEPTHS[19], **arguments):
    return vgg("vgg19_bn", depths, batch_norm=True, **arguments)
