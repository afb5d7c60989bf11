"""Sequence to sequence with additive attention: a decoder that looks where it needs to.

Bahdanau, Cho and Bengio 2014, "Neural Machine Translation by Jointly Learning to Align and
Translate", arXiv:1409.0473, sections 3 and A, the RNNsearch with 1,000 units.

    source           tokens (B, S), embedded -> (B, S, 620)
    encoder          a GRU each way, side by side      -> (B, S, 2,000)
    initial_state    tanh(its backward state at the first token)  -> (B, 1,000)
    target           tokens (B, T), embedded -> (B, T, 620)
    decoder          context[t] from h[t-1] and the encoder's states   -> (B, T, 2,000)
                     h[t] from target[t], context[t], h[t-1]           -> (B, T, 1,000)
    readout          the larger of two projections of h[t], target[t], context[t]  -> (B, T, 500)
    output           logits of the next token          -> (B, T, 30,000)

Differs from the paper: GRUs apply the reset gate behind the matrix, as ``custom_layers.GRUCell``
does; the readout sees h[t], as equation 4 has it, where section A.2.2 writes h[t-1]; weights start
as Keras's. Dropout, which the paper has none of, is there for small data.
"""

import keras
from keras import layers, ops, tree

from custom_layers import AttentiveDecoder, Dropout, KnownTokens
from zoo.sizes import check_positive


def seq2seq_bahdanau(
    source_vocabulary_size=30_000, target_vocabulary_size=30_000, embedding_width=620, width=1_000,
    attention_width=1_000, readout_width=500, dropout_rate=0.0,
):  # fmt: skip
    """RNNsearch: source (B, S), target (B, T) -> logits (B, T, target_vocabulary_size).

    Tokens are integers of which 0 is padding, behind a sequence. The target begins with a token
    that stands for the start; the logits at each of its tokens are those of the next one. The
    alignment (B, T, S) is ``model.get_layer("decoder").output[-1]``.

    Args:
        source_vocabulary_size, target_vocabulary_size: numbers of tokens, padding among them.
        embedding_width: features that stand for a token.
        width: units of the encoder, each way, and of the decoder.
        attention_width: width in which a state of the decoder and one of the encoder are compared.
        readout_width: features that the logits are made from.
        dropout_rate: share of the embeddings and of the readout that is dropped in training.

    Raises:
        ValueError: a size is no positive integer.
    """
    check_positive(
        "seq2seq_bahdanau",
        source_vocabulary_size=source_vocabulary_size,
        target_vocabulary_size=target_vocabulary_size,
        embedding_width=embedding_width,
        width=width,
        attention_width=attention_width,
        readout_width=readout_width,
    )
    source = keras.Input((None,), dtype="int32", name="source")
    target = keras.Input((None,), dtype="int32", name="target")

    x = KnownTokens(source_vocabulary_size, name="known_source")(source)
    x = layers.Embedding(
        source_vocabulary_size, embedding_width, mask_zero=True, name="source_embedding"
    )(x)
    x = Dropout(dropout_rate, name="source_dropout")(x)
    encoder = layers.GRU(width, return_sequences=True, return_state=True, name="encoder")
    values, _, backward = layers.Bidirectional(encoder, name="encoder")(x)
    initial_state = layers.Dense(width, activation="tanh", name="initial_state")(backward)

    x = KnownTokens(target_vocabulary_size, name="known_target")(target)
    x = layers.Embedding(
        target_vocabulary_size, embedding_width, mask_zero=True, name="target_embedding"
    )(x)
    x = Dropout(dropout_rate, name="target_dropout")(x)
    keys = layers.Dense(attention_width, use_bias=False, name="keys")(values)  # once for all t
    decoder = AttentiveDecoder(width, name="decoder")
    states, contexts, _ = decoder(x, keys, values, initial_state)  # keys carry the source's mask

    x = layers.Concatenate(name="readout_inputs")([states, x, contexts])
    pieces = [layers.Dense(readout_width, name=f"readout_{piece}")(x) for piece in ("a", "b")]
    x = layers.Maximum(name="readout")(pieces)
    x = Dropout(dropout_rate, name="readout_dropout")(x)
    logits = layers.Dense(target_vocabulary_size, name="output")(x)
    return keras.Model([source, target], logits, name="seq2seq_bahdanau")


def encoder_and_step(model):
    """The two halves of a ``seq2seq_bahdanau``, which share its weights, for ``zoo.decoding``.

    Returns:
        (encoder, step): source (B, S) -> [memory, states]; and [target's token (B, 1), memory,
        states] -> [logits (B, 1, V), alignment (B, 1, S), states behind it]. Memory and states
        are lists of arrays.
    """
    source, layer = model.inputs[0], model.get_layer
    (values, _, _), keys = layer("encoder").output, layer("keys").output
    memory, states = [keys, values, ops.not_equal(source, 0)], [layer("initial_state").output]
    encoder = keras.Model(source, [memory, states])

    token = keras.Input((1,), dtype="int32")
    memory, states = tree.map_structure(
        lambda each: keras.Input(batch_shape=each.shape, dtype=each.dtype), [memory, states]
    )
    keys, values, keys_mask = memory
    x = layer("target_embedding")(token)
    state, context, alignment = layer("decoder")(x, keys, values, *states, keys_mask=keys_mask)
    states_behind = [state[:, 0]]
    x = layer("readout_inputs")([state, x, context])
    x = layer("readout")([layer("readout_a")(x), layer("readout_b")(x)])
    logits = layer("output")(x)
    return encoder, keras.Model([token, memory, states], [logits, alignment, states_behind])
