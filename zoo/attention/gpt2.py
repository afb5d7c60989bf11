"""GPT-2: a transformer decoder that says which token comes next.

Radford, Wu, Child, Luan, Amodei and Sutskever 2019, "Language Models are Unsupervised Multitask
Learners", section 2.3 and table 2; the blocks are those of Vaswani et al. 2017, arXiv:1706.03762,
with the normalizations in front.

    tokens              (B, T), embedded, and positions added, dropout 0.1   -> (B, T, 768)
    block1, ..., 12     x = x + attention(norm(x)), to tokens that are not behind
                        x = x + feed_forward(norm(x)), of 3,072 hidden units with GELU
    final_norm
    logits              products with the tokens' embeddings                 -> (B, T, 50,257)

Differs from the paper, as its published code does: GELU is approximated by tanh.
"""

import keras
from keras import initializers, layers

from custom_layers import (
    GELU,
    Dropout,
    KnownTokens,
    LearnedPositions,
    ScaledDotProductAttention,
)
from zoo.sizes import check_positive

DEVIATION = 0.02  # of initial weights


def dense(units, name, deviation=DEVIATION):
    initializer = initializers.RandomNormal(stddev=deviation)
    return layers.Dense(units, kernel_initializer=initializer, name=name)


def norm(x, name):
    return layers.LayerNormalization(epsilon=1e-5, name=name)(x)


def attention(x, num_heads, deviation, dropout_rate, name):
    """(B, T, D) -> (B, T, D)."""
    width = x.shape[-1]
    x = dense(3 * width, f"{name}_query_key_value")(x)
    x = layers.Reshape((-1, 3, num_heads, width // num_heads))(x)  # (B, T, 3, N, K)
    attend = ScaledDotProductAttention(
        causal=True, dropout_rate=dropout_rate, name=f"{name}_attention"
    )
    context, _ = attend(x[:, :, 0], x[:, :, 1], x[:, :, 2])
    context = layers.Reshape((-1, width))(context)  # (B, T, D)
    return dense(width, f"{name}_projection", deviation)(context)


def feed_forward(x, hidden_width, deviation, name):
    """(B, T, D) -> (B, T, D)."""
    hidden = dense(hidden_width, f"{name}_expand")(x)
    hidden = GELU(approximate=True, name=f"{name}_gelu")(hidden)
    return dense(x.shape[-1], f"{name}_contract", deviation)(hidden)


def gpt2(
    name="gpt2", vocabulary_size=50_257, max_length=1024, width=768, depth=12, num_heads=12,
    dropout_rate=0.1,
):  # fmt: skip
    """Tokens (B, T) -> logits (B, T, vocabulary_size), at each of the token that comes next.

    Args:
        name: the model's name.
        vocabulary_size: number of tokens; nothing is padding.
        max_length: number of positions, the largest T.
        width: features of a token; the feed-forward networks have four times as many.
        depth: number of blocks.
        num_heads: of attention; they divide ``width``.
        dropout_rate: share of embeddings, attention weights and changes dropped in training.

    Raises:
        ValueError: a size is no positive integer, or ``num_heads`` does not divide ``width``.
    """
    check_positive(
        name, vocabulary_size=vocabulary_size, max_length=max_length, width=width, depth=depth,
        num_heads=num_heads,
    )  # fmt: skip
    if width % num_heads:
        raise ValueError(f"{name} cannot split width={width} among num_heads={num_heads}.")

    tokens = keras.Input((None,), dtype="int32", name="tokens")
    table = layers.ReversibleEmbedding(
        vocabulary_size, width, embeddings_initializer=initializers.RandomNormal(stddev=DEVIATION),
        reverse_dtype=keras.config.dtype_policy().compute_dtype,  # Keras takes float32 without it
        name="token_embedding",
    )  # fmt: skip
    x = table(KnownTokens(vocabulary_size, name="known_tokens")(tokens))
    x = LearnedPositions(max_length, name="positions")(x)
    x = Dropout(dropout_rate, name="embedding_dropout")(x)
    # Section 2.3: what is added so often starts smaller, by the root of how often.
    deviation = DEVIATION / (2 * depth) ** 0.5
    for index in range(1, depth + 1):
        block = f"block{index}"
        change = attention(norm(x, f"{block}_norm1"), num_heads, deviation, dropout_rate, block)
        x = x + Dropout(dropout_rate, name=f"{block}_dropout1")(change)
        change = feed_forward(norm(x, f"{block}_norm2"), 4 * width, deviation, block)
        x = x + Dropout(dropout_rate, name=f"{block}_dropout2")(change)
    logits = table(norm(x, "final_norm"), reverse=True)
    return keras.Model(tokens, logits, name=name)


def gpt2_medium(**arguments):
    """24 blocks of 1,024 features."""
    return gpt2("gpt2_medium", **{"width": 1024, "depth": 24, "num_heads": 16, **arguments})


def gpt2_large(**arguments):
    """36 blocks of 1,280 features."""
    return gpt2("gpt2_large", **{"width": 1280, "depth": 36, "num_heads": 20, **arguments})


def gpt2_xl(**arguments):
    """48 blocks of 1,600 features."""
    return gpt2("gpt2_xl", **{"width": 1600, "depth": 48, "num_heads": 25, **arguments})
