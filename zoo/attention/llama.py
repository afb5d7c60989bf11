"""Llama: a transformer decoder with rotary positions, gates, and shared heads of keys and values.

Touvron et al. 2023, "LLaMA: Open and Efficient Foundation Language Models", arXiv:2302.13971,
section 2.2; sizes, and heads of keys that heads of queries share: Grattafiori et al. 2024, "The
Llama 3 Herd of Models", arXiv:2407.21783, section 3.2 and table 3.

    tokens              (B, T), embedded                                     -> (B, T, 4096)
    block1, ..., 32     x = x + attention(norm(x)), to tokens that are not behind, of 32 heads with
                        queries and keys turned by their positions; 4 heads share keys and values
                        x = x + feed_forward(norm(x)), of 14,336 hidden units with SwiGLU
    final_norm
    output              logits, without a bias                               -> (B, T, 128,256)

No layer has a bias; norms are root mean squares. The small models of Llama 3.2 take for logits the
products with the tokens' embeddings. Mistral is the same network, in which a token sees a window of
those before it: Jiang et al. 2023, "Mistral 7B", arXiv:2310.06825, section 2 and table 1.
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
    return RMSNormalization(epsilon=1e-5, name=name)(x)


def attention(x, turn, num_heads, num_key_value_heads, name, window=None):
    """(B, T, D) -> (B, T, D); ``turn`` is the layer of positions."""
    width = x.shape[-1]

    def heads(part, number):
        projected = dense(number * (width // num_heads), f"{name}_{part}")(x)
        return layers.Reshape((-1, number, width // num_heads))(projected)  # (B, T, N, K)

    queries, keys = turn(heads("query", num_heads)), turn(heads("key", num_key_value_heads))
    values = heads("value", num_key_value_heads)
    attend = ScaledDotProductAttention(causal=True, window=window, name=f"{name}_attention")
    context, _ = attend(queries, keys, values)
    context = layers.Reshape((-1, width))(context)  # (B, T, D)
    return dense(width, f"{name}_projection")(context)


def llama(
    name, vocabulary_size=128_256, width=4096, depth=32, num_heads=32, num_key_value_heads=8,
    hidden_width=14_336, rotary_base=500_000.0, rotary_factor=1.0, window=None,
    tied_embeddings=False,
):  # fmt: skip
    """Tokens (B, T) -> logits (B, T, vocabulary_size), at each of the token that comes next.

    Args:
        name: the model's name.
        vocabulary_size: number of tokens; nothing is padding.
        width: features of a token.
        depth: number of blocks.
        num_heads: of queries; twice their number divides ``width``.
        num_key_value_heads: of keys and values; they divide ``num_heads``.
        hidden_width: hidden units of the feed-forward networks.
        rotary_base: ``base`` of ``RotaryPositions``.
        rotary_factor: ``factor`` of ``RotaryPositions``; Llama 3.1, in the sizes of Llama 3, has 8.
        window: how many tokens a token sees at most, itself the last of them; None: all.
        tied_embeddings: whether logits are products with the tokens' embeddings.

    Raises:
        ValueError: a size or the window is no positive integer, ``width`` has not an even number of
            features for each head, or ``num_key_value_heads`` does not divide ``num_heads``.
    """
    check_positive(
        name, vocabulary_size=vocabulary_size, width=width, depth=depth, num_heads=num_heads,
        num_key_value_heads=num_key_value_heads, hidden_width=hidden_width,
    )  # fmt: skip
    if width % (2 * num_heads):
        raise ValueError(
            f"{name} cannot split width={width} among num_heads={num_heads}, pairs of features to "
            f"each."
        )
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
    turn = RotaryPositions(rotary_base, rotary_factor, name="positions")
    x = table(KnownTokens(vocabulary_size, name="known_tokens")(tokens))
    for index in range(1, depth + 1):
        block = f"block{index}"
        x = x + attention(
            norm(x, f"{block}_norm1"), turn, num_heads, num_key_value_heads, block, window
        )
        feed_forward = SwiGLU(hidden_width, name=f"{block}_feed_forward")
        x = x + feed_forward(norm(x, f"{block}_norm2"))
    x = norm(x, "final_norm")
    logits = table(x, reverse=True) if tied_embeddings else dense(vocabulary_size, "output")(x)
    return keras.Model(tokens, logits, name=name)


def llama3_8b(**arguments):
    """32 blocks of 4,096 features."""
    return llama("llama3_8b", **arguments)


def llama3_70b(**arguments):
    """80 blocks of 8,192 features."""
    sizes = {"width": 8192, "depth": 80, "num_heads": 64, "hidden_width": 28_672}
    return llama("llama3_70b", **{**sizes, **arguments})


def llama3_405b(**arguments):
    """126 blocks of 16,384 features; published as Llama 3.1, with a ``rotary_factor`` of 8."""
    sizes = {"width": 16_384, "depth": 126, "num_heads": 128, "hidden_width": 53_248}
    return llama("llama3_405b", **{**sizes, "rotary_factor": 8.0, **arguments})


def llama3_2_1b(**arguments):
    """16 blocks of 2,048 features."""
    sizes = {"width": 2048, "depth": 16, "hidden_width": 8192}
    sizes |= {"rotary_factor": 32.0, "tied_embeddings": True}
    return llama("llama3_2_1b", **{**sizes, **arguments})


def llama3_2_3b(**arguments):
    """28 blocks of 3,072 features."""
    sizes = {"width": 3072, "depth": 28, "num_heads": 24, "hidden_width": 8192}
    sizes |= {"rotary_factor": 32.0, "tied_embeddings": True}
    return llama("llama3_2_3b", **{**sizes, **arguments})


def mistral_7b(**arguments):
    """32 blocks of 4,096 features, and a window of 4,096 tokens."""
    sizes = {"vocabulary_size": 32_000, "rotary_base": 10_000.0, "window": 4096}
    return llama("mistral_7b", **{**sizes, **arguments})
