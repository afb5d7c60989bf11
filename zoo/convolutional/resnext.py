"""ResNeXt: residual networks whose 3x3 convolutions are split into groups.

Xie, Girshick, Dollár, Tu and He 2016, "Aggregated Residual Transformations for Deep Neural
Networks", arXiv:1611.05431, table 1 and figure 3 (c).

    image 224x224x3
    stem    convolution 7x7 / 2   -> 112x112x64
            max pooling 3x3 / 2   -> 56x56x64
    stage1                        -> 56x56x256      inside its blocks 32 groups of 4 maps
    stage2  first block / 2       -> 28x28x512                        of 8
    stage3  first block / 2       -> 14x14x1,024                      of 16
    stage4  first block / 2       -> 7x7x2,048                        of 32
    mean over positions, output   -> 1,000 logits
"""

from functools import partial

from keras import layers

from zoo.convolutional.resnet import normalize, relu, resnet, shortcut
from zoo.windows import convolution


def bottleneck(x, width, stride, name, groups, group_width):
    """(B, H, W, C) -> (B, H/stride, W/stride, 4 width): figure 3 (c)."""
    grouped = groups * (group_width * width // 64)
    y = convolution(x, grouped, 1, name=f"{name}_conv1")
    y = relu(normalize(y, name=f"{name}_norm1"))
    y = convolution(y, grouped, 3, name=f"{name}_conv2", stride=stride, groups=groups)
    y = relu(normalize(y, name=f"{name}_norm2"))
    y = convolution(y, 4 * width, 1, name=f"{name}_conv3")
    y = normalize(y, name=f"{name}_norm3")
    return relu(layers.Add(name=name)([y, shortcut(x, 4 * width, stride, name)]))


def resnext50(depths=(3, 4, 6, 3), groups=32, group_width=4, **arguments):
    """ResNeXt-50 (32x4d): images (B, H, W, C) of at least 32x32 -> logits (B, num_classes).

    Args:
        depths: number of blocks in each stage.
        groups: number of groups, the paper's cardinality.
        group_width: maps of a group in the first stage, at the paper's width of 64; each stage
            doubles them.
        arguments: of ``resnet``, whose errors are raised: ``num_classes``, ``input_shape`` and
            ``width``.
    """
    block = partial(bottleneck, groups=groups, group_width=group_width)
    return resnet("resnext50", block, depths, **arguments)
