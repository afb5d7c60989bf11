"""The Transformer: an encoder and a decoder of attention alone, without recurrence.

Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser and Polosukhin 2017, "Attention Is All You
Need", arXiv:1706.03762, section 3 and figure 1, sizes in table 3; dropout in section 5.4.

    source                  tokens (B, S), 0 is padding; embedded, times sqrt(512), and positions
                            added, dropout 0.1                              -> (B, S, 512)
    encoder1, ..., 6        x = norm(x + attention(x))
                            x = norm(x + feed_forward(x)), of 2,048 hidden units with ReLU
    target                  tokens (B, T), as the source                    -> (B, T, 512)
    decoder1, ..., 6        x = norm(x + attention(x)), to tokens that are not behind
                            x = norm(x + attention(x, source))
                            x = norm(x + feed_forward(x))
    logits                  products with the target's embeddings           -> (B, T, 37,000)

Differs from the paper: the projections of attention have biases, as torch.nn's, which it does not
write; matrices start as Keras's, of which it says nothing.
"""

import keras
from keras import initializers, layers, ops

from custom_layers import (
    Dropout,
    KnownTokens,
    ScaledDotProductAttention,
    SinusoidalPositions,
)
from zoo.sizes import check_positive


def norm(x, name):
    return layers.LayerNormalization(epsilon=1e-5, name=name)(x)


def attention(x, memory, num_heads, name, mask=None, causal=False):
    """(B, T, D), memory (B, S, D), mask (B, S) -> (B, T, D)."""
    width = x.shape[-1]
    projected = [
        layers.Reshape((-1, num_heads, width // num_heads))(
            layers.Dense(width, name=f"{name}_{part}")(seen)
        )
        for part, seen in {"query": x, "key": memory, "value": memory}.items()
    ]  # (B, T, N, K), (B, S, N, K), (B, S, N, K)
    attend = ScaledDotProductAttention(causal, name=f"{name}_attention")
    context, _ = attend(*projected, keys_mask=mask)
    context = layers.Reshape((-1, width))(context)  # (B, T, D)
    return layers.Dense(width, name=f"{name}_projection")(context)


def feed_forward(x, hidden_width, name):
    """(B, T, D) -> (B, T, D)."""
    hidden = layers.Dense(hidden_width, activation="relu", name=f"{name}_expand")(x)
    return layers.Dense(x.shape[-1], name=f"{name}_contract")(hidden)


def add(x, change, dropout_rate, name, number):
    """(B, T, D), (B, T, D) -> (B, T, D)."""
    change = Dropout(dropout_rate, name=f"{name}_dropout{number}")(change)
    return norm(x + change, f"{name}_norm{number}")


def transformer(
    name, vocabulary_size=37_000, source_vocabulary_size=None, width=512, depth=6, num_heads=8,
    hidden_width=2048, dropout_rate=0.1, final_norm=False,
):  # fmt: skip
    """Source (B, S), target (B, T) -> logits (B, T, vocabulary_size).

    Tokens are integers of which 0 is padding, behind a sequence. The target begins with a token
    that stands for the start; the logits at each of its tokens are those of the next one. What the
    first block of the decoder looks at in the source, its weights (B, N, T, S), is
    ``model.get_layer("decoder1_cross_attention").output[-1]``; so of the others.

    ``zoo.load_weights`` takes the state dict of a module that calls torch.nn's Transformer
    ``transformer``, and its Embedding ``embedding``, or ``source_embedding`` and
    ``target_embedding``.

    Args:
        name: the model's name.
        vocabulary_size: number of tokens, padding among them.
        source_vocabulary_size: that of the source, where it has a vocabulary, and embeddings, of
            its own; None: the target's.
        width: features of a token, an even number.
        depth: number of blocks of the encoder, and of the decoder.
        num_heads: of attention; they divide ``width``.
        hidden_width: hidden units of the feed-forward networks.
        dropout_rate: share of embeddings and changes dropped in training.
        final_norm: whether encoder and decoder end in one more normalization, as those of
            ``torch.nn.Transformer`` do.

    Raises:
        ValueError: a size is no positive integer, or ``num_heads`` or 2 does not divide ``width``.
    """
    shared = source_vocabulary_size is None
    check_positive(
        name,
        vocabulary_size=vocabulary_size,
        source_vocabulary_size=vocabulary_size if shared else source_vocabulary_size,
        width=width,
        depth=depth,
        num_heads=num_heads,
        hidden_width=hidden_width,
    )
    if width % num_heads:
        raise ValueError(f"{name} cannot split width={width} among num_heads={num_heads}.")

    # The deviation makes embeddings, as they are scaled, as large as the positions.
    initializer = initializers.RandomNormal(stddev=width**-0.5)
    table = layers.ReversibleEmbedding(
        vocabulary_size, width, embeddings_initializer=initializer,
        reverse_dtype=keras.config.dtype_policy().compute_dtype,  # Keras takes float32 without it
        name="token_embedding" if shared else "target_embedding",
    )  # fmt: skip
    source_table = table if shared else layers.Embedding(
        source_vocabulary_size, width, embeddings_initializer=initializer, name="source_embedding"
    )  # fmt: skip

    def embedded(tokens, table, name):
        """(B, T) -> (B, T, D)."""
        x = table(KnownTokens(table.input_dim, name=f"known_{name}")(tokens))
        x = SinusoidalPositions(name=f"{name}_positions")(x * width**0.5)
        return Dropout(dropout_rate, name=f"{name}_dropout")(x)

    source = keras.Input((None,), dtype="int32", name="source")
    mask = ops.not_equal(source, 0)
    x = embedded(source, source_table, "source")
    for index in range(1, depth + 1):
        block = f"encoder{index}"
        change = attention(x, x, num_heads, f"{block}_self", mask=mask)
        x = add(x, change, dropout_rate, block, 1)
        x = add(x, feed_forward(x, hidden_width, block), dropout_rate, block, 2)
    memory = norm(x, "encoder_norm") if final_norm else x

    target = keras.Input((None,), dtype="int32", name="target")
    x = embedded(target, table, "target")
    for index in range(1, depth + 1):
        block = f"decoder{index}"
        change = attention(x, x, num_heads, f"{block}_self", causal=True)
        x = add(x, change, dropout_rate, block, 1)
        change = attention(x, memory, num_heads, f"{block}_cross", mask=mask)
        x = add(x, change, dropout_rate, block, 2)
        x = add(x, feed_forward(x, hidden_width, block), dropout_rate, block, 3)
    x = norm(x, "decoder_norm") if final_norm else x
    return keras.Model([source, target], table(x, reverse=True), name=name)


def transformer_base(**arguments):
    """6 blocks each of 512 features."""
    return transformer("transformer_base", **arguments)


def transformer_big(**arguments):
    """6 blocks each of 1,024 features."""
    sizes = {"width": 1024, "num_heads": 16, "hidden_width": 4096, "dropout_rate": 0.3}
    return transformer("transformer_big", **{**sizes, **arguments})
