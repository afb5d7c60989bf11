"""T5: an encoder and a decoder for all that can be told as text from text.

Raffel, Shazeer, Roberts, Lee, Narang, Matena, Zhou, Li and Liu 2019, "Exploring the Limits of
Transfer Learning with a Unified Text-to-Text Transformer", arXiv:1910.10683, section 2.1, sizes in
section 3.7; the blocks are those of Vaswani et al. 2017, arXiv:1706.03762, with the normalizations,
which neither center nor shift, in front.

    source                  tokens (B, S), 0 is padding, embedded           -> (B, S, 512)
    encoder1, ..., 6        x = x + attention(norm(x))
                            x = x + feed_forward(norm(x)), of 2,048 hidden units with ReLU
    target                  tokens (B, T), as the source                    -> (B, T, 512)
    decoder1, ..., 6        x = x + attention(norm(x)), to tokens that are not behind
                            x = x + attention(norm(x), source)
                            x = x + feed_forward(norm(x))
    logits                  products with the tokens' embeddings, over sqrt(512)  -> (B, T, 32,128)

There are no biases of features. What tells positions apart is added to the scores of attention to
the own sequence, in all blocks of the encoder the same, and of the decoder. Scores are products as
they are: that they are of the right size is up to how queries start. Dropout 0.1 is on embeddings,
changes, attention weights, hidden units, and behind each side's last normalization.

Version 1.1, of the authors' code, has feed-forward networks of Shazeer 2020, arXiv:2002.05202,
FFN_GEGLU, whose GELU is approximated by tanh, and for the logits a matrix of their own.
"""

import keras
from keras import initializers, layers, ops

from custom_layers import (
    GELU,
    Dropout,
    KnownTokens,
    RelativePositionBias,
    RMSNormalization,
    ScaledDotProductAttention,
)
from zoo.sizes import check_positive


def dense(units, deviation, name):
    initializer = initializers.RandomNormal(stddev=deviation)
    return layers.Dense(units, use_bias=False, kernel_initializer=initializer, name=name)


def norm(x, name):
    return RMSNormalization(epsilon=1e-6, name=name)(x)


def attention(
    x, memory, num_heads, head_width, dropout_rate, name, mask=None, bias=None, causal=False
):
    """(B, T, D), memory (B, S, D), mask (B, S), bias (1, N, T, S) -> (B, T, D)."""
    width = x.shape[-1]
    projected = [
        layers.Reshape((-1, num_heads, head_width))(
            dense(num_heads * head_width, deviation, f"{name}_{part}")(seen)
        )
        for part, seen, deviation in (
            ("query", x, (width * head_width) ** -0.5),
            ("key", memory, width**-0.5),
            ("value", memory, width**-0.5),
        )
    ]  # (B, T, N, K), (B, S, N, K), (B, S, N, K)
    attend = ScaledDotProductAttention(
        causal, scale=1.0, dropout_rate=dropout_rate, name=f"{name}_attention"
    )
    context, _ = attend(*projected, keys_mask=mask, bias=bias)
    context = layers.Reshape((-1, num_heads * head_width))(context)  # (B, T, N K)
    return dense(width, (num_heads * head_width) ** -0.5, f"{name}_projection")(context)


def feed_forward(x, hidden_width, gated, dropout_rate, name):
    """(B, T, D) -> (B, T, D)."""
    width = x.shape[-1]
    if gated:
        gate = dense(hidden_width, width**-0.5, f"{name}_gate")(x)
        gate = GELU(approximate=True, name=f"{name}_gelu")(gate)
        hidden = gate * dense(hidden_width, width**-0.5, f"{name}_up")(x)
    else:
        hidden = dense(hidden_width, width**-0.5, f"{name}_expand")(x)
        hidden = layers.ReLU(name=f"{name}_relu")(hidden)
    hidden = Dropout(dropout_rate, name=f"{name}_hidden_dropout")(hidden)
    return dense(width, hidden_width**-0.5, f"{name}_contract")(hidden)


def t5(
    name, vocabulary_size=32_128, width=512, depth=6, num_heads=8, head_width=64,
    hidden_width=2048, gated=False, tied=True, dropout_rate=0.1,
):  # fmt: skip
    """Source (B, S), target (B, T) -> logits (B, T, vocabulary_size).

    Tokens are integers of which 0 is padding, behind a source. The target begins with a token that
    stands for the start, in checkpoints 0 too; the logits at each of its tokens are those of the
    next one. What the first block of the decoder looks at in the source, its weights (B, N, T, S),
    is ``model.get_layer("decoder1_cross_attention").output[-1]``; so of the others.

    Args:
        name: the model's name.
        vocabulary_size: number of tokens, padding among them.
        width: features of a token.
        depth: number of blocks of the encoder, and of the decoder.
        num_heads: of attention.
        head_width: features of a head.
        hidden_width: hidden units of the feed-forward networks.
        gated: whether these are gated, as in version 1.1.
        tied: whether logits are products with the embeddings; False, as in version 1.1: of a
            matrix of their own.
        dropout_rate: share dropped in training.

    Raises:
        ValueError: a size is no positive integer.
    """
    check_positive(
        name,
        vocabulary_size=vocabulary_size,
        width=width,
        depth=depth,
        num_heads=num_heads,
        head_width=head_width,
        hidden_width=hidden_width,
    )
    heads = {"num_heads": num_heads, "head_width": head_width, "dropout_rate": dropout_rate}
    table = layers.ReversibleEmbedding(
        vocabulary_size, width, embeddings_initializer=initializers.RandomNormal(stddev=1.0),
        reverse_dtype=keras.config.dtype_policy().compute_dtype,  # Keras takes float32 without it
        name="token_embedding",
    )  # fmt: skip

    def drop(x, name):
        return Dropout(dropout_rate, name=name)(x)

    source = keras.Input((None,), dtype="int32", name="source")
    mask = ops.not_equal(source, 0)
    x = drop(table(KnownTokens(vocabulary_size, name="known_source")(source)), "source_dropout")
    bias = RelativePositionBias(num_heads, name="encoder_position_bias")(x, x)
    for index in range(1, depth + 1):
        block = f"encoder{index}"
        y = norm(x, f"{block}_norm1")
        change = attention(y, y, name=f"{block}_self", mask=mask, bias=bias, **heads)
        x = x + drop(change, f"{block}_dropout1")
        y = norm(x, f"{block}_norm2")
        change = feed_forward(y, hidden_width, gated, dropout_rate, block)
        x = x + drop(change, f"{block}_dropout2")
    memory = drop(norm(x, "encoder_norm"), "encoder_dropout")

    target = keras.Input((None,), dtype="int32", name="target")
    x = drop(table(KnownTokens(vocabulary_size, name="known_target")(target)), "target_dropout")
    bias = RelativePositionBias(num_heads, causal=True, name="decoder_position_bias")(x, x)
    for index in range(1, depth + 1):
        block = f"decoder{index}"
        y = norm(x, f"{block}_norm1")
        change = attention(y, y, name=f"{block}_self", bias=bias, causal=True, **heads)
        x = x + drop(change, f"{block}_dropout1")
        y = norm(x, f"{block}_norm2")
        change = attention(y, memory, name=f"{block}_cross", mask=mask, **heads)
        x = x + drop(change, f"{block}_dropout2")
        y = norm(x, f"{block}_norm3")
        change = feed_forward(y, hidden_width, gated, dropout_rate, block)
        x = x + drop(change, f"{block}_dropout3")
    x = drop(norm(x, "decoder_norm"), "decoder_dropout")

    if tied:
        logits = table(x * width**-0.5, reverse=True)
    else:
        logits = dense(vocabulary_size, width**-0.5, "output")(x)
    return keras.Model([source, target], logits, name=name)


def t5_small(**arguments):
    """6 blocks each of 512 features."""
    return t5("t5_small", **arguments)


def t5_base(**arguments):
    """12 blocks each of 768 features."""
    sizes = {"width": 768, "depth": 12, "num_heads": 12, "hidden_width": 3072}
    return t5("t5_base", **{**sizes, **arguments})


def t5_large(**arguments):
    """24 blocks each of 1,024 features."""
    sizes = {"width": 1024, "depth": 24, "num_heads": 16, "hidden_width": 4096}
    return t5("t5_large", **{**sizes, **arguments})


def t5_3b(**arguments):
    """24 blocks each of 1,024 features, with 32 wide heads."""
    sizes = {"width": 1024, "depth": 24, "num_heads": 32, "head_width": 128, "hidden_width": 16_384}
    return t5("t5_3b", **{**sizes, **arguments})


def t5_11b(**arguments):
    """24 blocks each of 1,024 features, with 128 wide heads."""
    sizes = {"width": 1024, "depth": 24, "num_heads": 128, "head_width": 128}
    return t5("t5_11b", **{**sizes, "hidden_width": 65_536, **arguments})


V1_1 = {"gated": True, "tied": False}


def t5_v1_1_small(**arguments):
    """8 blocks each of 512 features."""
    sizes = {"depth": 8, "num_heads": 6, "hidden_width": 1024}
    return t5("t5_v1_1_small", **{**V1_1, **sizes, **arguments})


def t5_v1_1_base(**arguments):
    """12 blocks each of 768 features."""
    sizes = {"width": 768, "depth": 12, "num_heads": 12, "hidden_width": 2048}
    return t5("t5_v1_1_base", **{**V1_1, **sizes, **arguments})


def t5_v1_1_large(**arguments):
    """24 blocks each of 1,024 features."""
    sizes = {"width": 1024, "depth": 24, "num_heads": 16, "hidden_width": 2816}
    return t5("t5_v1_1_large", **{**V1_1, **sizes, **arguments})


def t5_v1_1_xl(**arguments):
    """24 blocks each of 2,048 features."""
    sizes = {"width": 2048, "depth": 24, "num_heads": 32, "hidden_width": 5120}
    return t5("t5_v1_1_xl", **{**V1_1, **sizes, **arguments})


def t5_v1_1_xxl(**arguments):
    """24 blocks each of 4,096 features."""
    sizes = {"width": 4096, "depth": 24, "num_heads": 64, "hidden_width": 10_240}
    return t5("t5_v1_1_xxl", **{**V1_1, **sizes, **arguments})
