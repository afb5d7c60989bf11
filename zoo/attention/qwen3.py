"""Qwen3: a transformer decoder whose queries and keys are normalized, head by head.

Yang et al. 2025, "Qwen3 Technical Report", arXiv:2505.09388, section 2 and table 1; widths are
those of its published models. Normalized queries and keys: Dehghani et al. 2023, "Scaling Vision
Transformers to 22 Billion Parameters", arXiv:2302.05442, section 2, there with means.

    tokens              (B, T), embedded                                     -> (B, T, 4096)
    block1, ..., 36     x = x + attention(norm(x)), to tokens that are not behind, of 32 heads with
                        queries and keys normalized and then turned by their positions; 4 heads
                        share keys and values
                        x = x + feed_forward(norm(x)), of 12,288 hidden units with SwiGLU
    final_norm
    output              logits, without a bias                               -> (B, T, 151,936)

No layer has a bias; norms are root mean squares; a head has 128 features, however wide a token is.
Models of up to 4 billion parameters take for logits the products with the tokens' embeddings.
"""

import keras
from keras import initializers, layers

from custom_layers import (
    KnownTokens,
    RMSNormalization,
    RotaryPositions,
    ScaledDotProductAttention,
    SwiGLU,
)
from zoo.sizes import check_positive


def dense(units, name):
    return layers.Dense(units, use_bias=False, name=name)


def norm(x, name):
    return RMSNormalization(epsilon=1e-6, name=name)(x)


def attention(x, turn, num_heads, num_key_value_heads, head_width, name):
    """(B, T, D) -> (B, T, D); ``turn`` is the layer of positions."""

    def heads(part, number):
        projected = dense(number * head_width, f"{name}_{part}")(x)
        return layers.Reshape((-1, number, head_width))(projected)  # (B, T, N, K)

    queries = turn(norm(heads("query", num_heads), f"{name}_query_norm"))
    keys = turn(norm(heads("key", num_key_value_heads), f"{name}_key_norm"))
    values = heads("value", num_key_value_heads)
    attend = ScaledDotProductAttention(causal=True, name=f"{name}_attention")
    context, _ = attend(queries, keys, values)
    context = layers.Reshape((-1, num_heads * head_width))(context)  # (B, T, N * K)
    return dense(x.shape[-1], f"{name}_projection")(context)


def qwen3(
    name, vocabulary_size=151_936, width=4096, depth=36, num_heads=32, num_key_value_heads=8,
    head_width=128, hidden_width=12_288, tied_embeddings=False,
):  # fmt: skip
    """Tokens (B, T) -> logits (B, T, vocabulary_size), at each of the token that comes next.

    Args:
        name: the model's name.
        vocabulary_size: number of tokens; nothing is padding.
        width: features of a token.
        depth: number of blocks.
        num_heads: of queries.
        num_key_value_heads: of keys and values; they divide ``num_heads``.
        head_width: features of a head, an even number.
        hidden_width: hidden units of the feed-forward networks.
        tied_embeddings: whether logits are products with the tokens' embeddings.

    Raises:
        ValueError: a size is no positive integer, ``head_width`` is odd, or
            ``num_key_value_heads`` does not divide ``num_heads``.
    """
    check_positive(
        name, vocabulary_size=vocabulary_size, width=width, depth=depth, num_heads=num_heads,
        num_key_value_heads=num_key_value_heads, head_width=head_width, hidden_width=hidden_width,
    )  # fmt: skip
    if head_width % 2:
        raise ValueError(f"{name} needs an even head_width, got {head_width}.")
    if num_heads % num_key_value_heads:
        raise ValueError(
            f"{name} cannot share num_key_value_heads={num_key_value_heads} among "
            f"num_heads={num_heads}."
        )

    tokens = keras.Input((None,), dtype="int32", name="tokens")
    table = layers.ReversibleEmbedding(
        vocabulary_size, width, embeddings_initializer=initializers.RandomNormal(stddev=0.02),
        reverse_dtype=keras.config.dtype_policy().compute_dtype,  # Keras takes float32 without it
        name="token_embedding",
    )  # fmt: skip
    turn = RotaryPositions(1_000_000.0, name="positions")
    x = table(KnownTokens(vocabulary_size, name="known_tokens")(tokens))
    for index in range(1, depth + 1):
        block = f"block{index}"
        x = x + attention(
            norm(x, f"{block}_norm1"), turn, num_heads, num_key_value_heads, head_width, block
        )
        feed_forward = SwiGLU(hidden_width, name=f"{block}_feed_forward")
        x = x + feed_forward(norm(x, f"{block}_norm2"))
    x = norm(x, "final_norm")
    logits = table(x, reverse=True) if tied_embeddings else dense(vocabulary_size, "output")(x)
    return keras.Model(tokens, logits, name=name)


def qwen3_0_6b(**arguments):
    """28 blocks of 1,024 features."""
    sizes = {"width": 1024, "depth": 28, "num_heads": 16, "hidden_width": 3072}
    return qwen3("qwen3_0_6b", **{**sizes, "tied_embeddings": True, **arguments})


def qwen3_1_7b(**arguments):
    """28 blocks of 2,048 features."""
    sizes = {"width": 2048, "depth": 28, "num_heads": 16, "hidden_width": 6144}
    return qwen3("qwen3_1_7b", **{**sizes, "tied_embeddings": True, **arguments})


def qwen3_4b(**arguments):
    """36 blocks of 2,560 features."""
    sizes = {"width": 2560, "hidden_width": 9728, "tied_embeddings": True}
    return qwen3("qwen3_4b", **{**sizes, **arguments})


def qwen3_8b(**arguments):
    """36 blocks of 4,096 features."""
    return qwen3("qwen3_8b", **arguments)


def qwen3_14b(**arguments):
    """40 blocks of 5,120 features."""
    sizes = {"width": 5120, "depth": 40, "num_heads": 40, "hidden_width": 17_408}
    return qwen3("qwen3_14b", **{**sizes, **arguments})


def qwen3_32b(**arguments):
    """64 blocks of 5,120 features."""
    sizes = {"width": 5120, "depth": 64, "num_heads": 64, "hidden_width": 25_600}
    return qwen3("qwen3_32b", **{**sizes, **arguments})
