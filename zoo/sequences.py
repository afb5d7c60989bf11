"""What networks over sequences share: their input, their layers on top of each other, their heads.

A sequence is of tokens (B, T), integers, or of features (B, T, F); T may vary from batch to batch.
Shorter ones are padded behind their end, and each gives what it would give alone, and so do its
gradients. The token 0 is padding. Features have no such value: who pads them gives the mask
(B, T), true where they are not padded, to each call,

    logits = model(features, mask=mask)

or pads with zeros and has ``keras.Sequential([layers.Masking(), model])`` find them. Keras warns
then that the mask ends in the model: what is behind it, such as a loss, does not see it.

Layers are Keras's own with their default arguments, which take a GPU's fused kernels where they
can: on TensorFlow those of LSTM and GRU, on JAX of LSTM and on PyTorch of both without a mask.
"""

import keras
from keras import layers

from custom_layers import Dropout, KnownTokens
from zoo.sizes import positive


def sequence_input(model, num_features, vocabulary_size, embedding_width):
    """(input, (B, T, D)): features as they are, or without them tokens, embedded and masked."""
    if num_features is not None:
        shape = (None, positive(model, "num_features", num_features))
        features = keras.Input(shape, name="features")
        return features, features
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    embedding = layers.Embedding(
        positive(model, "vocabulary_size", vocabulary_size),
        positive(model, "embedding_width", embedding_width),
        mask_zero=True,
        name="embedding",
    )
    return tokens, embedding(KnownTokens(vocabulary_size, name="known_tokens")(tokens))


def recurrent_layers(
    x, model, layer, width, depth, dropout_rate, bidirectional=False, return_sequences=False
):
    """(B, T, D) -> (B, T, width), or without ``return_sequences`` the last state (B, width).

    With ``bidirectional`` both ways side by side, (B, T, 2 width) or (B, 2 width). The last state
    of the way back is that at the first step. Dropout is where Zaremba, Sutskever and Vinyals 2014
    (arXiv:1409.2329, section 3.2) have it: on the way from layer to layer, never from step to step.
    """
    width, depth = positive(model, "width", width), positive(model, "depth", depth)
    for index in range(1, depth + 1):
        name = f"layer{index}"
        one = layer(width, return_sequences=return_sequences or index < depth, name=name)
        x = (layers.Bidirectional(one, name=name) if bidirectional else one)(x)
        x = Dropout(dropout_rate, name=f"{name}_dropout")(x)
    return x


def head(x, model, num_classes):
    """(..., D) -> logits (..., num_classes); the same without ``num_classes``."""
    if num_classes is None:
        return x
    return layers.Dense(positive(model, "num_classes", num_classes), name="output")(x)


def classifier(
    name, layer, num_classes=2, num_features=None, vocabulary_size=10_000, embedding_width=128,
    width=128, depth=1, bidirectional=False, dropout_rate=0.0,
):  # fmt: skip
    """Sequences (B, T) or (B, T, F) -> logits (B, num_classes), from the state after the last step.

    Args:
        name: the model's name.
        layer: a recurrent layer of Keras.
        num_classes: number of logits; None leaves the output layer out, and gives the state.
        num_features: F, of sequences of features; None takes sequences of tokens.
        vocabulary_size: number of tokens, padding (0) among them.
        embedding_width: features that stand for a token.
        width: units of each layer, in each direction.
        depth: number of layers.
        bidirectional: whether each layer goes both ways. The state is then that of both ways,
            each at its end.
        dropout_rate: share of each layer's outputs that is dropped in training.

    Raises:
        ValueError: a number is no positive integer, or ``dropout_rate`` is not in [0, 1].
    """
    sequence, x = sequence_input(name, num_features, vocabulary_size, embedding_width)
    x = recurrent_layers(x, name, layer, width, depth, dropout_rate, bidirectional)
    return keras.Model(sequence, head(x, name, num_classes), name=name)


def tagger(
    name, layer, num_classes=17, num_features=None, vocabulary_size=10_000, embedding_width=128,
    width=128, depth=1, bidirectional=True, dropout_rate=0.0,
):  # fmt: skip
    """Sequences (B, T) or (B, T, F) -> logits (B, T, num_classes), a row for each step.

    What stands in the rows of padding has no meaning. 17 classes are the parts of speech of
    Universal Dependencies.

    Args and errors: those of ``classifier``.
    """
    sequence, x = sequence_input(name, num_features, vocabulary_size, embedding_width)
    x = recurrent_layers(
        x, name, layer, width, depth, dropout_rate, bidirectional, return_sequences=True
    )
    return keras.Model(sequence, head(x, name, num_classes), name=name)


def forecaster(
    name, layer, horizon=24, num_features=1, num_targets=None, width=64, depth=1, dropout_rate=0.0
):
    """Series (B, T, F) -> what comes next, (B, horizon, num_targets).

    Args:
        name, layer, width, depth, dropout_rate: those of ``classifier``.
        horizon: number of steps that are forecast, all at once.
        num_features: F.
        num_targets: number of series that are forecast; None: as many as are seen.

    Raises:
        ValueError: as ``classifier`` does.
    """
    num_features = positive(name, "num_features", num_features)
    horizon = positive(name, "horizon", horizon)
    targets = num_features if num_targets is None else positive(name, "num_targets", num_targets)
    series, x = sequence_input(name, num_features, None, None)
    x = recurrent_layers(x, name, layer, width, depth, dropout_rate)
    x = layers.Dense(horizon * targets, name="output")(x)
    x = layers.Reshape((horizon, targets), name="forecast")(x)  # (B, horizon, num_targets)
    return keras.Model(series, x, name=name)


def language_model(
    name, layer, vocabulary_size=128, embedding_width=64, width=256, depth=2, dropout_rate=0.0
):
    """Tokens (B, T) -> logits (B, T, vocabulary_size), at each of the token that comes next.

    Args:
        name, layer, embedding_width, width, depth, dropout_rate: those of ``classifier``.
        vocabulary_size: number of tokens, of which 0 is one like the others: nothing is padding.
            128 are the characters of ASCII.

    Raises:
        ValueError: as ``classifier`` does.
    """
    vocabulary_size = positive(name, "vocabulary_size", vocabulary_size)
    embedding_width = positive(name, "embedding_width", embedding_width)
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = KnownTokens(vocabulary_size, name="known_tokens")(tokens)
    x = layers.Embedding(vocabulary_size, embedding_width, name="embedding")(x)
    x = recurrent_layers(x, name, layer, width, depth, dropout_rate, return_sequences=True)
    return keras.Model(tokens, head(x, name, vocabulary_size), name=name)
