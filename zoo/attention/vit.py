"""ViT: a transformer encoder that reads an image as a sequence of patches.

Dosovitskiy, Beyer, Kolesnikov, Weissenborn, Zhai, Unterthiner, Dehghani, Minderer, Heigold, Gelly,
Uszkoreit and Houlsby 2020, "An Image is Worth 16x16 Words: Transformers for Image Recognition at
Scale", arXiv:2010.11929, section 3.1, table 1 and appendix B.1; DeiT, the same with stochastic
depth for dropout, and distilled with a second token: Touvron, Cord, Douze, Massa, Sablayrolles and
Jégou 2020, "Training data-efficient image transformers & distillation through attention",
arXiv:2012.12877, sections 4 and 5.3, and tables 1 and 9.

    image               224x224x3
    patches             of 16x16, each projected to a token         -> (B, 196, 768)
    class_token         a learned one in front                      -> (B, 197, 768)
    positions           learned, added; dropout 0.1
    block1, ..., 12     x = x + attention(norm(x))
                        x = x + feed_forward(norm(x)), of 3,072 hidden units with GELU
    final_norm
    output              logits of the class token                   -> (B, 1000)

Differs from the papers: initial weights are those of DeiT's code in ViT, too; ViT's output is the
one layer of its fine-tuning, without the hidden layer of its pre-training; and of DeiT's two output
layers the logits are averaged, as its published code does, and not the probabilities.
"""

import keras
from keras import layers

from custom_layers import (
    GELU,
    Dropout,
    LearnedPositions,
    LearnedToken,
    ScaledDotProductAttention,
    StochasticDepth,
)  # fmt: skip
from zoo.input_shape import check_image_shape
from zoo.sizes import check_positive, positive


def initial(deviation):
    """Weights at the start."""
    return keras.initializers.TruncatedNormal(stddev=deviation)


def dense(units, name):
    return layers.Dense(units, kernel_initializer=initial(0.02), name=name)


def norm(x, name):
    return layers.LayerNormalization(epsilon=1e-6, name=name)(x)


def attention(x, num_heads, name):
    """(B, T, D) -> (B, T, D)."""
    width = x.shape[-1]
    x = dense(3 * width, f"{name}_query_key_value")(x)
    x = layers.Reshape((-1, 3, num_heads, width // num_heads))(x)  # (B, T, 3, N, K)
    attend = ScaledDotProductAttention(name=f"{name}_attention")
    context, _ = attend(x[:, :, 0], x[:, :, 1], x[:, :, 2])
    context = layers.Reshape((-1, width))(context)  # (B, T, D)
    return dense(width, f"{name}_projection")(context)


def feed_forward(x, dropout_rate, name):
    """(B, T, D) -> (B, T, D)."""
    hidden = GELU(name=f"{name}_gelu")(dense(4 * x.shape[-1], f"{name}_expand")(x))
    hidden = Dropout(dropout_rate, name=f"{name}_hidden_dropout")(hidden)
    return dense(x.shape[-1], f"{name}_contract")(hidden)


def block(x, num_heads, dropout_rate, drop_rate, name):
    """(B, T, D) -> (B, T, D)."""
    change = attention(norm(x, f"{name}_norm1"), num_heads, name)
    change = Dropout(dropout_rate, name=f"{name}_dropout1")(change)
    x = x + StochasticDepth(drop_rate, name=f"{name}_drop1")(change)
    change = feed_forward(norm(x, f"{name}_norm2"), dropout_rate, name)
    change = Dropout(dropout_rate, name=f"{name}_dropout2")(change)
    return x + StochasticDepth(drop_rate, name=f"{name}_drop2")(change)


def vit(
    name, patch_size=16, width=768, depth=12, num_heads=12, dropout_rate=0.1,
    stochastic_depth_rate=0.0, distilled=False, num_classes=1000, input_shape=(224, 224, 3),
):  # fmt: skip
    """Images (B, H, W, C) -> logits (B, num_classes).

    Args:
        name: the model's name.
        patch_size: height and width of a patch; it divides those of the image.
        width: features of a token; the feed-forward networks have four times as many.
        depth: number of blocks.
        num_heads: of attention; they divide ``width``.
        dropout_rate: share of the embeddings, hidden units and changes dropped in training.
        stochastic_depth_rate: share of the examples that skip the last block in training; in the
            blocks before it the share grows from 0.
        distilled: True adds a token and its output layer, "distillation_output", that learn from
            another network; logits are the mean of both layers'. Those of each are the outputs of
            ``model.get_layer``.
        num_classes: number of logits; None gives what the output layer would see: the class token
            (B, width), or with ``distilled`` it and the other one (B, 2, width).
        input_shape: (H, W, C), which decides the number of positions: weights of one size do not
            fit another.

    Raises:
        ValueError: a size is no positive integer, ``num_heads`` does not divide ``width``, or
            patches do not divide the image.
    """
    check_positive(name, patch_size=patch_size, width=width, depth=depth, num_heads=num_heads)
    if width % num_heads:
        raise ValueError(f"{name} cannot split width={width} among num_heads={num_heads}.")
    told = f"it cuts them into patches of {patch_size}x{patch_size}"
    check_image_shape(name, input_shape, patch_size, told, multiples=True)

    image = keras.Input(input_shape, name="image")
    x = layers.Conv2D(
        width, patch_size, strides=patch_size, kernel_initializer=initial(0.02), name="patches"
    )(image)
    x = layers.Reshape((-1, width))(x)  # (B, T, D)
    if distilled:
        x = LearnedToken(name="distillation_token")(x)
    x = LearnedToken(name="class_token")(x)
    x = LearnedPositions(x.shape[1], name="positions")(x)
    x = Dropout(dropout_rate, name="embedding_dropout")(x)
    for index in range(1, depth + 1):
        drop_rate = stochastic_depth_rate * (index - 1) / max(depth - 1, 1)
        x = block(x, num_heads, dropout_rate, drop_rate, f"block{index}")
    x = norm(x, "final_norm")

    if num_classes is None:
        return keras.Model(image, x[:, :2] if distilled else x[:, 0], name=name)
    positive(name, "num_classes", num_classes)
    logits = dense(num_classes, "output")(x[:, 0])
    if distilled:
        others = dense(num_classes, "distillation_output")(x[:, 1])
        logits = layers.Average(name="mean_output")([logits, others])
    return keras.Model(image, logits, name=name)


def deit(name, **arguments):
    """ViT as DeiT trains it."""
    return vit(name, **{"dropout_rate": 0.0, "stochastic_depth_rate": 0.1, **arguments})


TINY = {"width": 192, "num_heads": 3}
SMALL = {"width": 384, "num_heads": 6}
LARGE = {"width": 1024, "depth": 24, "num_heads": 16}
HUGE = {"width": 1280, "depth": 32, "num_heads": 16}


def vit_tiny_16(**arguments):
    """DeiT's size (Steiner et al. 2021, "How to train your ViT?", arXiv:2106.10270, table 2)."""
    return vit("vit_tiny_16", **{**TINY, **arguments})


def vit_small_16(**arguments):
    """DeiT's size (Steiner et al. 2021, table 2)."""
    return vit("vit_small_16", **{**SMALL, **arguments})


def vit_base_16(**arguments):
    return vit("vit_base_16", **arguments)


def vit_base_32(**arguments):
    return vit("vit_base_32", **{"patch_size": 32, **arguments})


def vit_large_16(**arguments):
    return vit("vit_large_16", **{**LARGE, **arguments})


def vit_large_32(**arguments):
    return vit("vit_large_32", **{**LARGE, "patch_size": 32, **arguments})


def vit_huge_14(**arguments):
    return vit("vit_huge_14", **{**HUGE, "patch_size": 14, **arguments})


def deit_tiny_16(**arguments):
    return deit("deit_tiny_16", **{**TINY, **arguments})


def deit_small_16(**arguments):
    return deit("deit_small_16", **{**SMALL, **arguments})


def deit_base_16(**arguments):
    return deit("deit_base_16", **arguments)


def deit_tiny_distilled_16(**arguments):
    return deit("deit_tiny_distilled_16", **{**TINY, "distilled": True, **arguments})


def deit_small_distilled_16(**arguments):
    return deit("deit_small_distilled_16", **{**SMALL, "distilled": True, **arguments})


def deit_base_distilled_16(**arguments):
    return deit("deit_base_distilled_16", **{"distilled": True, **arguments})
