"""MobileNetV3: a searched network of inverted residuals, with squeeze and excitation.

Howard, Sandler, Chu, Chen, Chen, Tan, Wang, Zhu, Pang, Vasudevan, Le and Adam 2019, "Searching for
MobileNetV3", arXiv:1905.02244, tables 1 and 2, figure 4.

    image 224x224x3                       large                small
    stem    convolution 3x3 / 2   -> 112x112x16        112x112x16
    blocks  15, 11                -> 7x7x160           7x7x96
    head    convolution 1x1       -> 7x7x960           7x7x576
    mean over positions, dense    -> 1,280             1,024
    output                        -> 1,000 logits

Checkpoints of torchvision have the paper's epsilon of 0.001 in batch normalization; those that timm
trained (mobilenetv3_large_100) have 0.00001.
"""

import keras
from keras import layers

from custom_layers import BatchNormalization, Dropout
from zoo.input_shape import check_image_shape
from zoo.windows import convolution, depthwise_convolution, rounded

# Tables 1 and 2, a stage a line, a block: window, expanded maps, maps, squeeze and excite,
# activation, stride.
LARGE = (
    ((3, 16, 16, False, "relu", 1),),
    ((3, 64, 24, False, "relu", 2), (3, 72, 24, False, "relu", 1)),
    ((5, 72, 40, True, "relu", 2), (5, 120, 40, True, "relu", 1), (5, 120, 40, True, "relu", 1)),
    (
        (3, 240, 80, False, "hard_swish", 2), (3, 200, 80, False, "hard_swish", 1),
        (3, 184, 80, False, "hard_swish", 1), (3, 184, 80, False, "hard_swish", 1),
    ),
    ((3, 480, 112, True, "hard_swish", 1), (3, 672, 112, True, "hard_swish", 1)),
    (
        (5, 672, 160, True, "hard_swish", 2), (5, 960, 160, True, "hard_swish", 1),
        (5, 960, 160, True, "hard_swish", 1),
    ),
)  # fmt: skip
SMALL = (
    ((3, 16, 16, True, "relu", 2),),
    ((3, 72, 24, False, "relu", 2), (3, 88, 24, False, "relu", 1)),
    (
        (5, 96, 40, True, "hard_swish", 2), (5, 240, 40, True, "hard_swish", 1),
        (5, 240, 40, True, "hard_swish", 1),
    ),
    ((5, 120, 48, True, "hard_swish", 1), (5, 144, 48, True, "hard_swish", 1)),
    (
        (5, 288, 96, True, "hard_swish", 2), (5, 576, 96, True, "hard_swish", 1),
        (5, 576, 96, True, "hard_swish", 1),
    ),
)  # fmt: skip


def activate(x, name):
    """Any shape -> the same: "relu" or "hard_swish", section 5.2."""
    return layers.Activation(name)(x)


def squeeze_and_excite(x, name):
    """(B, H, W, C) -> the same: each map times a weight that the means of all maps decide."""
    filters = x.shape[-1]
    weight = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_mean")(x)
    weight = layers.Conv2D(rounded(filters / 4), 1, activation="relu", name=f"{name}_squeeze")(
        weight
    )
    weight = layers.Conv2D(filters, 1, activation="hard_sigmoid", name=f"{name}_excite")(weight)
    return layers.Multiply(name=f"{name}_scale")([x, weight])  # (B, H, W, C) * (B, 1, 1, C)


def block(x, size, expanded, filters, excited, activation, stride, normalize, name):
    """(B, H, W, C) -> (B, H/stride, W/stride, filters): figure 4."""
    y = x
    if expanded != x.shape[-1]:
        y = convolution(y, expanded, 1, name=f"{name}_expand_conv")
        y = activate(normalize(y, name=f"{name}_expand_norm"), activation)
    y = depthwise_convolution(y, size, name=f"{name}_depthwise_conv", stride=stride)
    y = activate(normalize(y, name=f"{name}_depthwise_norm"), activation)
    if excited:
        y = squeeze_and_excite(y, name)
    y = convolution(y, filters, 1, name=f"{name}_project_conv")
    y = normalize(y, name=f"{name}_project_norm")
    return layers.Add(name=name)([x, y]) if stride == 1 and filters == x.shape[-1] else y


def mobilenet_v3(
    name, stages, dense_width, num_classes=1000, input_shape=(224, 224, 3), width_multiplier=1.0,
    dropout_rate=0.2, epsilon=1e-3,
):  # fmt: skip
    """MobileNetV3: images (B, H, W, C) of at least 32x32 -> logits (B, num_classes).

    Args:
        name: the model's name.
        stages: ``LARGE`` or ``SMALL``.
        dense_width: width of the dense layer before the output.
        num_classes: number of logits; None leaves the output layer out, and gives (B, features).
        input_shape: (H, W, C); None for H and W takes images of any size.
        width_multiplier: all maps are so many times as many, rounded to multiples of 8.
        dropout_rate: share of the last features that is dropped in training.
        epsilon: of batch normalization; 1e-5 for checkpoints that timm trained.

    Raises:
        ValueError: the images are smaller than 32x32, or ``input_shape`` is not (H, W, C).
    """
    check_image_shape(name, input_shape, 32, "it halves them five times", any_size=True)

    def normalize(x, name):
        return BatchNormalization(momentum=0.99, epsilon=epsilon, name=name)(x)

    def scaled(filters):
        return rounded(filters * width_multiplier)

    image = keras.Input(input_shape, name="image")
    x = convolution(image, scaled(16), 3, name="stem_conv", stride=2)
    x = activate(normalize(x, name="stem_norm"), "hard_swish")
    for stage, blocks in enumerate(stages, start=1):
        for index, (size, expanded, filters, excited, activation, stride) in enumerate(blocks, 1):
            x = block(
                x, size, scaled(expanded), scaled(filters), excited, activation, stride, normalize,
                name=f"stage{stage}_block{index}",
            )  # fmt: skip
    x = convolution(x, 6 * x.shape[-1], 1, name="head_conv")
    x = activate(normalize(x, name="head_norm"), "hard_swish")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(scaled(dense_width), name="dense")(x)
    x = activate(x, "hard_swish")
    if num_classes is not None:
        x = Dropout(dropout_rate, name="dropout")(x)
        x = layers.Dense(num_classes, name="output")(x)
    return keras.Model(image, x, name=name)


def mobilenet_v3_large(dense_width=1280, **arguments):
    return mobilenet_v3("mobilenet_v3_large", LARGE, dense_width, **arguments)


def mobilenet_v3_small(dense_width=1024, **arguments):
    return mobilenet_v3("mobilenet_v3_small", SMALL, dense_width, **arguments)
