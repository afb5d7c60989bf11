"""Swin: a vision transformer whose tokens attend within windows, and that halves the image.

Liu, Lin, Cao, Hu, Wei, Zhang, Lin and Guo 2021, "Swin Transformer: Hierarchical Vision Transformer
using Shifted Windows", arXiv:2103.14030, figure 3 and section 3; stochastic depth in section A2.1,
Swin-L's from the published code.

    image 224x224x3                                Swin-T   S    B      L
    patches   of 4x4, norm        -> 56x56 tokens      96   96   128    192
    stage1                        -> 56x56             96   96   128    192
    stage2    merged before it    -> 28x28             192  192  256    384
    stage3    merged before it    -> 14x14             384  384  512    768
    stage4    merged before it    -> 7x7               768  768  1,024  1,536
    final_norm, mean over positions, output   -> 1,000 logits

    block     x = x + attention(norm(x)), within windows of 7x7, which every second block shifts
              x = x + feed_forward(norm(x)), four times as wide inside, with GELU

Stages have 2, 2, 6 (S, B, L: 18) and 2 blocks; a head has 32 features.
"""

import keras
from keras import layers

from custom_layers import GELU, StochasticDepth, WindowAttention
from zoo.input_shape import check_image_shape
from zoo.sizes import check_positive, check_sizes, positive


def initial(deviation):
    """Weights at the start."""
    return keras.initializers.TruncatedNormal(stddev=deviation)


def dense(units, name, **arguments):
    return layers.Dense(units, kernel_initializer=initial(0.02), name=name, **arguments)


def norm(x, name):
    return layers.LayerNormalization(epsilon=1e-5, name=name)(x)


def attention(x, num_heads, window_size, is_shifted, name):
    """(B, H, W, D) -> the same, each token from those of its window."""
    height, width, features = x.shape[1:]
    window = [min(window_size, size) for size in (height, width)]
    shift = [
        side // 2 if is_shifted and side < size else 0
        for side, size in zip(window, (height, width), strict=True)
    ]
    if height % window[0] or width % window[1]:  # footnote 3: at the bottom and at the right
        padding = ((0, -height % window[0]), (0, -width % window[1]))
        x = layers.ZeroPadding2D(padding, name=f"{name}_padding")(x)
    x = dense(3 * features, f"{name}_query_key_value")(x)
    x = layers.Reshape((*x.shape[1:3], 3, num_heads, features // num_heads))(x)
    attend = WindowAttention(window, shift, name=f"{name}_attention")
    context = attend(x[:, :, :, 0], x[:, :, :, 1], x[:, :, :, 2])
    context = layers.Reshape((*x.shape[1:3], features))(context)
    return dense(features, f"{name}_projection")(context[:, :height, :width])


def feed_forward(x, name):
    """(B, H, W, D) -> the same."""
    hidden = GELU(name=f"{name}_gelu")(dense(4 * x.shape[-1], f"{name}_expand")(x))
    return dense(x.shape[-1], f"{name}_contract")(hidden)


def block(x, num_heads, window_size, is_shifted, drop_rate, name):
    """(B, H, W, D) -> the same."""
    change = attention(norm(x, f"{name}_norm1"), num_heads, window_size, is_shifted, name)
    x = x + StochasticDepth(drop_rate, name=f"{name}_drop1")(change)
    change = feed_forward(norm(x, f"{name}_norm2"), name)
    return x + StochasticDepth(drop_rate, name=f"{name}_drop2")(change)


def merged(x, name):
    """(B, H, W, D) -> (B, H/2, W/2, 2 D): four neighbours side by side, and half of their width."""
    neighbours = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
    x = norm(layers.Concatenate(name=f"{name}_neighbours")(neighbours), f"{name}_norm")
    return dense(x.shape[-1] // 2, name, use_bias=False)(x)


def swin(
    name, depths=(2, 2, 18, 2), width=96, num_heads=3, window_size=7, stochastic_depth_rate=0.2,
    num_classes=1000, input_shape=(224, 224, 3),
):  # fmt: skip
    """Images (B, H, W, C), H and W multiples of 32 -> logits (B, num_classes).

    Args:
        name: the model's name.
        depths: number of blocks in each stage.
        width: features of a token in the first stage; each stage doubles them.
        num_heads: of attention in the first stage, a divisor of ``width``; each stage doubles them.
        window_size: rows and columns of a window; where a map has fewer, it is one window.
        stochastic_depth_rate: share of the examples that skip the last block in training; in the
            blocks before it the share grows from 0.
        num_classes: number of logits; None leaves the output layer out, and gives (B, features).
        input_shape: (H, W, C). Weights of one size fit others in which no map is smaller than a
            window.

    Raises:
        ValueError: a size is no positive integer, ``num_heads`` does not divide ``width``, or H or
            W is no multiple of 32.
    """
    check_sizes(name, "depths, numbers of blocks", depths)
    check_positive(name, width=width, num_heads=num_heads, window_size=window_size)
    if width % num_heads:
        raise ValueError(f"{name} cannot split width={width} among num_heads={num_heads}.")
    told = "it merges patches of 4x4, and those by two and two behind each stage but the last"
    check_image_shape(name, input_shape, 4 * 2 ** (len(depths) - 1), told, multiples=True)

    image = keras.Input(input_shape, name="image")
    x = layers.Conv2D(width, 4, strides=4, kernel_initializer=initial(0.02), name="patches")(image)
    x = norm(x, "patch_norm")
    done, last = 0, sum(depths) - 1
    for stage, depth in enumerate(depths, start=1):
        if stage > 1:
            x = merged(x, f"stage{stage}_merge")
        for index in range(1, depth + 1):
            x = block(
                x, num_heads * 2 ** (stage - 1), window_size, index % 2 == 0,
                stochastic_depth_rate * done / max(last, 1), f"stage{stage}_block{index}",
            )  # fmt: skip
            done += 1
    x = layers.GlobalAveragePooling2D(name="pool")(norm(x, "final_norm"))
    if num_classes is not None:
        x = dense(positive(name, "num_classes", num_classes), "output")(x)
    return keras.Model(image, x, name=name)


def swin_tiny(**arguments):
    return swin("swin_tiny", **{"depths": (2, 2, 6, 2), **arguments})


def swin_small(**arguments):
    return swin("swin_small", **{"stochastic_depth_rate": 0.3, **arguments})


def swin_base(**arguments):
    sizes = {"width": 128, "num_heads": 4, "stochastic_depth_rate": 0.5}
    return swin("swin_base", **{**sizes, **arguments})


def swin_large(**arguments):
    return swin("swin_large", **{"width": 192, "num_heads": 6, **arguments})
