"""BERT: a transformer encoder, in which every token sees every other.

Devlin, Chang, Lee and Toutanova 2018, "BERT: Pre-training of Deep Bidirectional Transformers for
Language Understanding", arXiv:1810.04805, section 3; its blocks are those of Vaswani et al. 2017,
arXiv:1706.03762, section 3.

    tokens, segments    (B, T), 0 is padding; embedded and added, with positions, normalized,
                        dropout 0.1                                    -> (B, T, 768)
    block1, ..., 12     x = norm(x + attention(x))
                        x = norm(x + feed_forward(x)), of 3,072 hidden units with GELU
    pooler              tanh of a dense layer over the first token     -> (B, 768)
    output              logits of its class                            -> (B, 2)

Differs from the paper: it is without the two heads of pre-training, which tell hidden tokens and
whether one sentence follows the other.
"""

import keras
from keras import layers, ops

from custom_layers import (
    GELU,
    Dropout,
    KnownTokens,
    LearnedPositions,
    ScaledDotProductAttention,
)
from zoo.sizes import check_positive, positive

EPSILON = 1e-12
HEADS = ("classifier", "tagger")


def dense(units, name, **arguments):
    initializer = keras.initializers.TruncatedNormal(stddev=0.02)
    return layers.Dense(units, kernel_initializer=initializer, name=name, **arguments)


def norm(x, name):
    return layers.LayerNormalization(epsilon=EPSILON, name=name)(x)


def attention(x, mask, num_heads, dropout_rate, name):
    """(B, T, D), mask (B, T) -> (B, T, D)."""
    width = x.shape[-1]
    projected = [
        layers.Reshape((-1, num_heads, width // num_heads))(dense(width, f"{name}_{part}")(x))
        for part in ("query", "key", "value")
    ]  # (B, T, N, K)
    attend = ScaledDotProductAttention(dropout_rate=dropout_rate, name=f"{name}_attention")
    context, _ = attend(*projected, keys_mask=mask)
    context = layers.Reshape((-1, width))(context)  # (B, T, D)
    return dense(width, f"{name}_projection")(context)


def feed_forward(x, hidden_width, name):
    """(B, T, D) -> (B, T, D)."""
    hidden = GELU(name=f"{name}_gelu")(dense(hidden_width, f"{name}_expand")(x))
    return dense(x.shape[-1], f"{name}_contract")(hidden)


def block(x, mask, num_heads, hidden_width, dropout_rate, name):
    """(B, T, D), mask (B, T) -> (B, T, D)."""
    change = attention(x, mask, num_heads, dropout_rate, name)
    x = norm(x + Dropout(dropout_rate, name=f"{name}_dropout1")(change), f"{name}_norm1")
    change = feed_forward(x, hidden_width, name)
    return norm(x + Dropout(dropout_rate, name=f"{name}_dropout2")(change), f"{name}_norm2")


def bert(
    name, head="classifier", num_classes=2, vocabulary_size=30_522, max_length=512,
    width=768, depth=12, num_heads=12, hidden_width=3072, dropout_rate=0.1,
):  # fmt: skip
    """Tokens and segments (B, T) -> logits.

    Segments tell sentences of a pair apart: 0 for all tokens of the first, 1 for the second's.

    Args:
        name: the model's name.
        head: "classifier", of the pooled first token, -> (B, num_classes); or "tagger", of each
            token, -> (B, T, num_classes).
        num_classes: number of logits; None gives what the output layer would see: the pooled first
            token (B, width), or all tokens (B, T, width).
        vocabulary_size: number of tokens, padding (0) among them.
        max_length: number of positions, the largest T.
        width: features of a token.
        depth: number of blocks.
        num_heads: of attention; they divide ``width``.
        hidden_width: hidden units of the feed-forward networks.
        dropout_rate: share of embeddings, attention weights and changes dropped in training.

    Raises:
        ValueError: a size is no positive integer, ``num_heads`` does not divide ``width``, or there
            is no such head.
    """
    check_positive(
        name, vocabulary_size=vocabulary_size, max_length=max_length, width=width, depth=depth,
        num_heads=num_heads, hidden_width=hidden_width,
    )  # fmt: skip
    if width % num_heads:
        raise ValueError(f"{name} cannot split width={width} among num_heads={num_heads}.")
    if head not in HEADS:
        raise ValueError(f"{name} has the heads {', '.join(HEADS)}, got head={head!r}.")

    tokens = keras.Input((None,), dtype="int32", name="tokens")
    segments = keras.Input((None,), dtype="int32", name="segments")
    mask = ops.not_equal(tokens, 0)
    initializer = keras.initializers.TruncatedNormal(stddev=0.02)
    of_tokens = layers.Embedding(
        vocabulary_size, width, embeddings_initializer=initializer, name="token_embedding"
    )
    of_segments = layers.Embedding(
        2, width, embeddings_initializer=initializer, name="segment_embedding"
    )
    x = of_tokens(KnownTokens(vocabulary_size, name="known_tokens")(tokens))
    x = x + of_segments(KnownTokens(2, name="known_segments")(segments))
    x = LearnedPositions(max_length, name="positions")(x)
    x = Dropout(dropout_rate, name="embedding_dropout")(norm(x, "embedding_norm"))
    for index in range(1, depth + 1):
        x = block(x, mask, num_heads, hidden_width, dropout_rate, f"block{index}")

    if head == "classifier":
        x = dense(width, "pooler", activation="tanh")(x[:, 0])
    if num_classes is not None:
        x = Dropout(dropout_rate, name="output_dropout")(x)
        x = dense(positive(name, "num_classes", num_classes), "output")(x)
    return keras.Model([tokens, segments], x, name=name)


def bert_base(**arguments):
    """12 blocks of 768 features."""
    return bert("bert_base", **arguments)


def bert_large(**arguments):
    """24 blocks of 1,024 features."""
    sizes = {"width": 1024, "depth": 24, "num_heads": 16, "hidden_width": 4096}
    return bert("bert_large", **{**sizes, **arguments})


def minilm_l6(**arguments):
    """6 blocks of 384 features (Wang et al. 2020, "MiniLM", arXiv:2002.10957).

    By default it gives all tokens, whose mean over a sentence stands for it in the checkpoint
    all-MiniLM-L6-v2 (Reimers and Gurevych 2019, "Sentence-BERT", arXiv:1908.10084).
    """
    sizes = {"width": 384, "depth": 6, "hidden_width": 1536, "head": "tagger", "num_classes": None}
    return bert("minilm_l6", **{**sizes, **arguments})
