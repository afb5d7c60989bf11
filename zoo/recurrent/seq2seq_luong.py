"""Sequence to sequence with multiplicative attention, over deep recurrent networks.

Luong, Pham and Manning 2015, "Effective Approaches to Attention-based Neural Machine Translation",
arXiv:1508.04025, sections 3, 3.1 (global attention, the score that it calls general) and 4.1.

    source                  tokens (B, S), embedded -> (B, S, 1,000)
    encoder1, ..., 4        LSTMs                                       -> (B, S, 1,000)
    target                  tokens (B, T), embedded -> (B, T, 1,000)
    decoder1, ..., 4        LSTMs that start from the encoder's last states, each from that of its
                            layer: h[t]                                 -> (B, T, 1,000)
    attention               context[t] from h[t] and the encoder's states  -> (B, T, 1,000)
    attentional             tanh([context[t], h[t]] W)                  -> (B, T, 1,000)
    output                  logits of the next token                    -> (B, T, 50,000)

Differs from the paper: no input feeding (section 3.3), which would hand the attentional vector on
to the next step; the attentional vector has no bias there, nor here, the logits have one here;
weights start as Keras's. Dropout is where Zaremba, Sutskever and Vinyals 2014 (arXiv:1409.2329),
whom it follows, have it: before each layer and before the logits.
"""

import keras
from keras import layers, ops, tree

from custom_layers import Dropout, KnownTokens, MultiplicativeAttention
from zoo.sizes import check_positive


def seq2seq_luong(
    source_vocabulary_size=50_000, target_vocabulary_size=50_000, embedding_width=1_000,
    width=1_000, depth=4, dropout_rate=0.2,
):  # fmt: skip
    """Global attention: source (B, S), target (B, T) -> logits (B, T, target_vocabulary_size).

    Tokens are integers of which 0 is padding, behind a sequence. The target begins with a token
    that stands for the start; the logits at each of its tokens are those of the next one. The
    alignment (B, T, S) is ``model.get_layer("attention").output[-1]``.

    Args:
        source_vocabulary_size, target_vocabulary_size: numbers of tokens, padding among them.
        embedding_width: features that stand for a token.
        width: units of each layer, and features that the logits are made from.
        depth: number of layers of the encoder, and of the decoder.
        dropout_rate: share of what goes from layer to layer that is dropped in training.

    Raises:
        ValueError: a size or ``depth`` is no positive integer.
    """
    check_positive(
        "seq2seq_luong",
        source_vocabulary_size=source_vocabulary_size,
        target_vocabulary_size=target_vocabulary_size,
        embedding_width=embedding_width,
        width=width,
        depth=depth,
    )
    source = keras.Input((None,), dtype="int32", name="source")
    target = keras.Input((None,), dtype="int32", name="target")

    x = KnownTokens(source_vocabulary_size, name="known_source")(source)
    x = layers.Embedding(
        source_vocabulary_size, embedding_width, mask_zero=True, name="source_embedding"
    )(x)
    states = []
    for index in range(1, depth + 1):
        x = Dropout(dropout_rate, name=f"encoder{index}_dropout")(x)
        x, *last = lstm(width, name=f"encoder{index}")(x)
        states.append(last)
    keys = x

    x = KnownTokens(target_vocabulary_size, name="known_target")(target)
    x = layers.Embedding(
        target_vocabulary_size, embedding_width, mask_zero=True, name="target_embedding"
    )(x)
    for index in range(1, depth + 1):
        x = Dropout(dropout_rate, name=f"decoder{index}_dropout")(x)
        x, _, _ = lstm(width, name=f"decoder{index}")(x, initial_state=states[index - 1])
    context, _ = MultiplicativeAttention(name="attention")(x, keys)  # which carry their mask
    x = layers.Concatenate(name="context_and_state")([context, x])
    x = layers.Dense(width, activation="tanh", use_bias=False, name="attentional")(x)
    x = Dropout(dropout_rate, name="attentional_dropout")(x)
    logits = layers.Dense(target_vocabulary_size, name="output")(x)
    return keras.Model([source, target], logits, name="seq2seq_luong")


def lstm(width, name):
    """(B, T, D) -> (B, T, width), and the states h and c behind the last step, (B, width)."""
    return layers.LSTM(width, return_sequences=True, return_state=True, name=name)


def encoder_and_step(model):
    """The two halves of a ``seq2seq_luong``, which share its weights, for ``zoo.decoding``.

    Returns:
        (encoder, step): source (B, S) -> [memory, states]; and [target's token (B, 1), memory,
        states] -> [logits (B, 1, V), alignment (B, 1, S), states behind it]. Memory and states
        are nests of arrays.
    """
    source, layer = model.inputs[0], model.get_layer
    depth = sum(each.name.startswith("decoder") for each in model.layers) // 2  # and its dropout
    keys, *_ = layer(f"encoder{depth}").output
    memory = [keys, ops.not_equal(source, 0)]
    states = [layer(f"encoder{index}").output[1:] for index in range(1, depth + 1)]
    encoder = keras.Model(source, [memory, states])

    token = keras.Input((1,), dtype="int32")
    memory, states = tree.map_structure(
        lambda each: keras.Input(batch_shape=each.shape, dtype=each.dtype), [memory, states]
    )
    x = layer("target_embedding")(token)
    states_behind = []
    for index, state in enumerate(states, start=1):
        x, *behind = layer(f"decoder{index}")(x, initial_state=state)
        states_behind.append(behind)
    keys, keys_mask = memory
    context, alignment = layer("attention")(x, keys, keys_mask=keys_mask)
    x = layer("attentional")(layer("context_and_state")([context, x]))
    outputs = [layer("output")(x), alignment, states_behind]
    return encoder, keras.Model([token, memory, states], outputs)
