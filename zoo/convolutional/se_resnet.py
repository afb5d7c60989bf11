"""SE-ResNet: residual networks that weigh their maps by what the whole image shows.

Hu, Shen, Albanie, Sun and Wu 2017, "Squeeze-and-Excitation Networks", arXiv:1709.01507,
table 1, figure 3 and section 3.

    image 224x224x3
    stem    convolution 7x7 / 2   -> 112x112x64
            max pooling 3x3 / 2   -> 56x56x64
    stage1                        -> 56x56x256      squeezed to 16
    stage2  first block / 2       -> 28x28x512                  32
    stage3  first block / 2       -> 14x14x1,024                64
    stage4  first block / 2       -> 7x7x2,048                  128
    mean over positions, output   -> 1,000 logits

Differs from the paper: a bottleneck that halves the image does so in its 3x3 convolution, where
the paper has the stride in the first 1x1 (as timm has it, whose checkpoints fit).
"""

from functools import partial

from keras import layers

from zoo.convolutional.resnet import normalize, relu, resnet, shortcut
from zoo.windows import convolution


def squeeze_and_excite(x, reduction, name):
    """(B, H, W, C) -> the same: each map times a weight that the means of all maps decide."""
    filters = x.shape[-1]
    weight = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_mean")(x)
    weight = layers.Conv2D(filters // reduction, 1, activation="relu", name=f"{name}_squeeze")(
        weight
    )
    weight = layers.Conv2D(filters, 1, activation="sigmoid", name=f"{name}_excite")(weight)
    return layers.Multiply(name=f"{name}_scale")([x, weight])  # (B, H, W, C) * (B, 1, 1, C)


def bottleneck(x, width, stride, name, reduction):
    """(B, H, W, C) -> (B, H/stride, W/stride, 4 width): figure 3."""
    y = convolution(x, width, 1, name=f"{name}_conv1")
    y = relu(normalize(y, name=f"{name}_norm1"))
    y = convolution(y, width, 3, name=f"{name}_conv2", stride=stride)
    y = relu(normalize(y, name=f"{name}_norm2"))
    y = convolution(y, 4 * width, 1, name=f"{name}_conv3")
    y = normalize(y, name=f"{name}_norm3")
    y = squeeze_and_excite(y, reduction, name)
    return relu(layers.Add(name=name)([y, shortcut(x, 4 * width, stride, name)]))


def se_resnet50(depths=(3, 4, 6, 3), reduction=16, **arguments):
    """SE-ResNet-50: images (B, H, W, C) of at least 32x32 -> logits (B, num_classes).

    Args:
        depths: number of blocks in each stage.
        reduction: by how many times the squeezed maps are fewer.
        arguments: of ``resnet``, whose errors are raised: ``num_classes``, ``input_shape`` and
            ``width``.
    """
    return resnet("se_resnet50", partial(bottleneck, reduction=reduction), depths, **arguments)
