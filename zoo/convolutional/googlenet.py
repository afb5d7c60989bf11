"""GoogLeNet: Inception modules, which look at several scales at once.

Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke and Rabinovich 2014, "Going Deeper
with Convolutions", arXiv:1409.4842, table 1, figures 2 (b) and 3.

    image 224x224x3
    conv1 7x7 / 2                       -> 112x112x64    max pooling 3x3 / 2 -> 56x56x64
    conv2 1x1, conv3 3x3                -> 56x56x192     max pooling 3x3 / 2 -> 28x28x192
    inception 3a, 3b                    -> 28x28x480     max pooling 3x3 / 2 -> 14x14x480
    inception 4a, 4b, 4c, 4d, 4e        -> 14x14x832     max pooling 2x2 / 2 -> 7x7x832
    inception 5a, 5b                    -> 7x7x1,024
    mean over positions, output         -> 1,000 logits

Two auxiliary classifiers, behind 4a and 4d, help the gradient in training: the paper adds their
losses with a weight of 0.3.

Differs from the paper, as the checkpoints of torchvision do: each convolution has batch
normalization and no bias; the modules' third branch has a 3x3 convolution where the paper has 5x5;
the fourth pooling takes 2x2, and no local responses are normalized.
"""

import keras
from keras import layers

from custom_layers import AdaptiveAveragePooling2D, BatchNormalization, Dropout
from zoo.input_shape import check_image_shape
from zoo.windows import convolution

# Table 1: maps of the branches #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5 and pool proj, for a
# stem of 64 maps.
INCEPTION = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def convolution_block(x, filters, size, name, stride=1):
    """(B, H, W, C) -> (B, H/stride, W/stride, filters)."""
    x = convolution(x, filters, size, name=f"{name}_conv", stride=stride)
    x = BatchNormalization(momentum=0.9, epsilon=1e-3, name=f"{name}_norm")(x)
    return layers.Activation("relu")(x)


def halve(x, name):
    """(B, H, W, C) -> (B, ceil((H-1)/2), ceil((W-1)/2), C): max pooling 3x3 / 2 from the corner."""
    # One row and column of zeros, which no maximum of ReLUs sees, for a window over the edge.
    x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"{name}_padding")(x)
    return layers.MaxPooling2D(3, strides=2, name=name)(x)


def inception(x, filters, name):
    """(B, H, W, C) -> (B, H, W, sum of the branches): figure 2 (b)."""
    one, three_reduced, three, five_reduced, five, pooled = filters
    y1 = convolution_block(x, one, 1, name=f"{name}_branch1")
    y2 = convolution_block(x, three_reduced, 1, name=f"{name}_branch2_reduce")
    y2 = convolution_block(y2, three, 3, name=f"{name}_branch2")
    y3 = convolution_block(x, five_reduced, 1, name=f"{name}_branch3_reduce")
    y3 = convolution_block(y3, five, 3, name=f"{name}_branch3")
    y4 = layers.MaxPooling2D(3, strides=1, padding="same", name=f"{name}_branch4_pool")(x)
    y4 = convolution_block(y4, pooled, 1, name=f"{name}_branch4")
    return layers.Concatenate(name=name)([y1, y2, y3, y4])


def auxiliary_classifier(x, num_classes, name):
    """(B, H, W, C) -> logits (B, num_classes): section 5."""
    x = AdaptiveAveragePooling2D(4, name=f"{name}_pool")(x)  # (B, 4, 4, C)
    x = convolution_block(x, 128, 1, name=name)
    # Fully connected: one window over all of it.
    x = layers.Conv2D(1024, 4, activation="relu", name=f"{name}_dense")(x)  # (B, 1, 1, 1024)
    x = Dropout(0.7, name=f"{name}_dropout")(layers.Flatten(name=f"{name}_flatten")(x))
    return layers.Dense(num_classes, name=f"{name}_output")(x)


def googlenet(
    num_classes=1000, input_shape=(224, 224, 3), width=64, dropout_rate=0.4, auxiliary=False
):
    """GoogLeNet: images (B, H, W, C) of at least 32x32 -> logits (B, num_classes).

    Args:
        num_classes: number of logits; None leaves the output layer out, and gives (B, features).
        input_shape: (H, W, C); None for H and W takes images of any size.
        width: maps of conv1; all others have as many as the paper for 64, in proportion.
        dropout_rate: share of the last features that is dropped in training.
        auxiliary: True returns three logits (B, num_classes), those of the auxiliary classifiers
            last; for images of a fixed size, and with ``num_classes``.

    Raises:
        ValueError: the images are smaller than 32x32, or ``input_shape`` is not (H, W, C).
    """
    check_image_shape(
        "googlenet", input_shape, 32, "it halves them five times", any_size=not auxiliary
    )
    if auxiliary and num_classes is None:
        raise ValueError("googlenet with auxiliary=True has classifiers: give num_classes.")
    image = keras.Input(input_shape, name="image")
    x = convolution_block(image, width, 7, name="conv1", stride=2)
    x = halve(x, name="pool1")
    x = convolution_block(x, width, 1, name="conv2")
    x = convolution_block(x, 3 * width, 3, name="conv3")
    x = halve(x, name="pool2")
    logits = []
    for name, filters in INCEPTION.items():
        x = inception(x, [each * width // 64 for each in filters], name=f"inception{name}")
        if name == "3b":
            x = halve(x, name="pool3")
        elif name == "4e":
            x = layers.MaxPooling2D(2, padding="same", name="pool4")(x)
        elif name in ("4a", "4d") and auxiliary:
            logits.append(auxiliary_classifier(x, num_classes, f"auxiliary{len(logits) + 1}"))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    if num_classes is not None:
        x = Dropout(dropout_rate, name="dropout")(x)
        x = layers.Dense(num_classes, name="output")(x)
    return keras.Model(image, [x, *logits] if auxiliary else x, name="googlenet")
