"""A small convolutional network of today, for 28x28 digits.

No paper's: the parts are convolutions with batch normalization (Ioffe and Szegedy 2015),
leaky ReLU (Maas et al. 2013), max pooling, and a dense head with GELU (Hendrycks and Gimpel
2016) and dropout (Srivastava et al. 2014), each from custom_layers.

    image 28x28x1
    convolution 3x3, pool 2x2  -> 14x14x32
    convolution 3x3, pool 2x2  -> 7x7x64
    dense                      -> 128
    output                     -> 10 logits
"""

import keras
from keras import layers

from custom_layers import GELU, BatchNormalization, Dropout, LeakyReLU
from zoo.input_shape import check_image_shape


def convolution_block(x, filters, batch_norm_momentum, name):
    """(B, H, W, C) -> (B, H/2, W/2, filters)."""
    # No bias: batch normalization would subtract it.
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_conv")(x)
    # Pooled first: a quarter of the work for all that follows.
    x = layers.MaxPooling2D(2, name=f"{name}_pool")(x)
    x = BatchNormalization(momentum=batch_norm_momentum, name=f"{name}_norm")(x)
    return LeakyReLU(name=f"{name}_activation")(x)


def mnist_cnn(num_classes=10, input_shape=(28, 28, 1), dropout_rate=0.5, batch_norm_momentum=0.99):
    """Small CNN: images (B, H, W, C) of at least 4x4 -> logits (B, num_classes).

    Args:
        num_classes: number of logits; None leaves the output layer out, and gives (B, 128).
        input_shape: (H, W, C).
        dropout_rate: share of the dense layer's inputs and outputs that is dropped in training.
        batch_norm_momentum: share of the old moving statistics that a step keeps.

    Raises:
        ValueError: the images are smaller than 4x4, or ``input_shape`` is not (H, W, C).
    """
    check_image_shape("mnist_cnn", input_shape, 4, "it halves height and width twice")
    image = keras.Input(input_shape, name="image")
    x = convolution_block(image, 32, batch_norm_momentum, name="block1")
    x = convolution_block(x, 64, batch_norm_momentum, name="block2")
    x = layers.Flatten(name="flatten")(x)
    x = Dropout(dropout_rate, name="dropout1")(x)
    x = layers.Dense(128, name="dense")(x)
    x = GELU(name="dense_activation")(x)
    x = Dropout(dropout_rate, name="dropout2")(x)
    if num_classes is not None:
        x = layers.Dense(num_classes, name="output")(x)
    return keras.Model(image, x, name="mnist_cnn")
