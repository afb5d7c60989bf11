"""AlexNet.

Krizhevsky, Sutskever and Hinton 2012, "ImageNet Classification with Deep Convolutional Neural
Networks", section 3 and figure 2, in the form of Krizhevsky 2014, "One weird trick for
parallelizing convolutional neural networks", arXiv:1404.5997, footnote 1.

    image 224x224x3
    conv1 11x11 / 4        -> 55x55x64     max pooling 3x3 / 2 -> 27x27x64
    conv2 5x5              -> 27x27x192    max pooling 3x3 / 2 -> 13x13x192
    conv3 3x3              -> 13x13x384
    conv4 3x3              -> 13x13x256
    conv5 3x3              -> 13x13x256    max pooling 3x3 / 2 -> 6x6x256
    fc6, fc7               -> 4,096 each, with dropout before
    output                 -> 1,000 logits

Differs from the paper of 2012: one tower for one GPU, and no local response normalization, as in
the paper of 2014. Images of other sizes are averaged to 6x6 before fc6 (torchvision, whose
checkpoints fit).
"""

import keras
from keras import layers

from custom_layers import AdaptiveAveragePooling2D, Dropout
from zoo.input_shape import check_image_shape
from zoo.windows import he_normal


def convolution(x, filters, size, name, stride=1, padding=None):
    """(B, H, W, C) -> (B, H', W', filters), with ReLU."""
    if padding:
        x = layers.ZeroPadding2D(padding, name=f"{name}_padding")(x)
    return layers.Conv2D(
        filters, size, strides=stride, padding="valid" if padding else "same", activation="relu",
        kernel_initializer=he_normal(), name=name,
    )(x)  # fmt: skip


def alexnet(
    num_classes=1000, input_shape=(224, 224, 3), width=64, dense_width=4096, dropout_rate=0.5
):
    """AlexNet: images (B, H, W, C) of at least 63x63 -> logits (B, num_classes).

    Args:
        num_classes: number of logits; None leaves the output layer out, and gives (B, dense_width).
        input_shape: (H, W, C).
        width: maps of conv1; conv2 has 3, conv3 6, conv4 and conv5 4 times as many.
        dense_width: width of fc6 and fc7.
        dropout_rate: share of the inputs of fc6 and of fc7 that is dropped in training.

    Raises:
        ValueError: the images are smaller than 63x63, or ``input_shape`` is not (H, W, C).
    """
    check_image_shape("alexnet", input_shape, 63, "nothing is left of smaller ones before fc6")
    image = keras.Input(input_shape, name="image")
    x = convolution(image, width, 11, name="conv1", stride=4, padding=2)
    x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)
    x = convolution(x, 3 * width, 5, name="conv2")
    x = layers.MaxPooling2D(3, strides=2, name="pool2")(x)
    x = convolution(x, 6 * width, 3, name="conv3")
    x = convolution(x, 4 * width, 3, name="conv4")
    x = convolution(x, 4 * width, 3, name="conv5")
    x = layers.MaxPooling2D(3, strides=2, name="pool5")(x)
    x = AdaptiveAveragePooling2D(6, name="pool")(x)  # (B, 6, 6, C)
    x = Dropout(dropout_rate, name="drop6")(x)
    # Fully connected: one window over all of it.
    x = layers.Conv2D(dense_width, 6, activation="relu", name="fc6")(x)  # (B, 1, 1, D)
    x = Dropout(dropout_rate, name="drop7")(layers.Flatten(name="flatten")(x))  # (B, D)
    x = layers.Dense(dense_width, activation="relu", name="fc7")(x)
    if num_classes is not None:
        x = layers.Dense(num_classes, name="output")(x)
    return keras.Model(image, x, name="alexnet")
