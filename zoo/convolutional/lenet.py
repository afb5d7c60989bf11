"""LeNet-5.

LeCun, Bottou, Bengio and Haffner 1998, "Gradient-Based Learning Applied to Document
Recognition", section II.B, figure 2 and table I.

    image 32x32x1
    C1  convolution 5x5    -> 28x28x6      156 parameters
    S2  subsampling 2x2    -> 14x14x6       12
    C3  convolution 5x5    -> 10x10x16   1,516   (each map sees some of S2's maps: table I)
    S4  subsampling 2x2    -> 5x5x16        32
    C5  convolution 5x5    -> 1x1x120   48,120
    F6  fully connected    -> 84        10,164   together the paper's 60,000
    output                 -> 10 logits    850

Differs from the paper: the output layer is linear and gives logits, where the paper measures
the Euclidean distance to a fixed bitmap of each character; so F6 may take any value that
training finds useful. Initial weights are Glorot-uniform with zero biases, where the paper
draws all from a uniform distribution of width 2.4 / fan-in.

The paper scales pixels so that the background is -0.1 and the foreground 1.175, and centers
28x28 digits in the 32x32 field.
"""

import keras
from keras import layers, ops

from zoo.input_shape import check_image_shape

# Table I: the maps of S2 that each of C3's 16 maps sees.
C3_CONNECTIONS = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip


def squash(x):
    """f(a) = A tanh(S a), which maps +-1 to +-1: appendix A. Any shape -> the same."""
    return 1.7159 * ops.tanh((2 / 3) * x)


def subsample(x, name):
    """(B, H, W, C) -> (B, H/2, W/2, C): mean of 2x2, times a coefficient, plus a bias."""
    x = layers.AveragePooling2D(2, name=f"{name}_mean")(x)
    # One 1x1 kernel and one bias a map. The paper takes the sum: a coefficient 4 times smaller.
    return squash(layers.DepthwiseConv2D(1, name=name)(x))


def partial_convolution(x, connections, name):
    """(B, H, W, C) -> (B, H-4, W-4, maps), each map from the input maps it is connected to."""
    maps = [
        layers.Conv2D(1, 5, name=f"{name}_map{index}")(ops.take(x, list(sources), axis=-1))
        for index, sources in enumerate(connections)
    ]
    return squash(layers.Concatenate(name=name)(maps))


def lenet5(num_classes=10, input_shape=(32, 32, 1)):
    """LeNet-5: images (B, H, W, C) of at least 32x32 -> logits (B, num_classes).

    Args:
        num_classes: number of logits; None leaves the output layer out, and gives (B, 84).
        input_shape: (H, W, C).

    Raises:
        ValueError: the images are smaller than 32x32, or ``input_shape`` is not (H, W, C).
    """
    check_image_shape(
        "lenet5", input_shape, 32, "pad smaller images, 28x28 digits by 2 on each side"
    )
    image = keras.Input(input_shape, name="image")
    x = squash(layers.Conv2D(6, 5, name="c1")(image))
    x = subsample(x, name="s2")
    x = partial_convolution(x, C3_CONNECTIONS, name="c3")
    x = subsample(x, name="s4")
    x = squash(layers.Conv2D(120, 5, name="c5")(x))
    x = squash(layers.Dense(84, name="f6")(layers.Flatten()(x)))
    if num_classes is not None:
        x = layers.Dense(num_classes, name="output")(x)
    return keras.Model(image, x, name="lenet5")
