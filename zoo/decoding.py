"""Decoding: the most probable targets that a sequence-to-sequence network finds for its sources.

    tokens, lengths, scores, alignments = decode(model, sources, start=1, stop=2, max_length=20)
    decode(model, sources, start=1, stop=2, max_length=20, beam_width=4, length_penalty=0.6)

Greedy search takes the most probable token at each step. Beam search (Sutskever, Vinyals and Le
2014, arXiv:1409.3215, section 3.2) keeps the ``beam_width`` best beginnings at each step; one that
ends in the stop token is set aside, and the beam has a place less from then on. The best of all is
the result, by its log probability over the length penalty of Wu et al. 2016 (arXiv:1609.08144,
equation 14, without its coverage penalty): ((5 + length) / 6) ** length_penalty.

The source is encoded once, and each step sees one token and the states behind the one before.
``search`` does so for any decoder that is given as such a step.
"""

import numbers
import operator
import weakref
from typing import NamedTuple

import numpy as np
from keras import ops, tree

from zoo.recurrent import seq2seq_bahdanau, seq2seq_luong

_MODULES = {"seq2seq_bahdanau": seq2seq_bahdanau, "seq2seq_luong": seq2seq_luong}
_PADDING = 0
_networks = weakref.WeakKeyDictionary()  # {model: (encoder, step)}, which are compiled once


class Decoded(NamedTuple):
    """What was decoded; T is the largest length that was allowed, S that of the sources.

    Attributes:
        tokens: (B, T) int32, without the stop token; 0 behind each.
        lengths: (B,) int32, numbers of tokens; T for one that has no stop token.
        scores: (B,) float64, log probabilities of tokens and stop token, over length penalties.
        alignments: (B, T, S) float32, weights of the source at each token, 0 behind them; None
            if the decoder has none.
    """

    tokens: np.ndarray
    lengths: np.ndarray
    scores: np.ndarray
    alignments: np.ndarray | None


def decode(model, sources, start, stop, max_length, beam_width=1, length_penalty=0.0):
    """The targets that a model gives to sources.

    Args:
        model: a model of the catalog, also a saved one: seq2seq_bahdanau or seq2seq_luong.
        sources: (B, S) tokens, integers, 0 behind those that are shorter.
        start: the token that targets begin with in training.
        stop: the token that ends them.
        max_length: largest number of tokens of a result, its stop token among them.
        beam_width: number of beginnings that are kept; 1 is greedy search.
        length_penalty: 0 for none, up to 10; larger favours longer results, which have lower
            probability.

    Returns:
        ``Decoded``. Padding is never a result's token, though it has its share of probability.

    Raises:
        ValueError: an argument is not as above, a source is empty, or the logits are NaN or
            infinite.
    """
    module = _MODULES.get(getattr(model, "name", None))
    if module is None:
        given = getattr(model, "name", model)
        raise ValueError(f"model must be a {' or '.join(_MODULES)}, got {given!r}.")
    vocabulary_size = model.output_shape[-1]
    for name, token in {"start": start, "stop": stop}.items():
        _check(name, token, 1, vocabulary_size - 1, " (a token of the target, not the padding 0)")
    _check("max_length", max_length, 1)
    _check("beam_width", beam_width, 1, vocabulary_size, " (the target's vocabulary)")
    sources = _checked_sources(sources, model.get_layer("source_embedding").input_dim)

    if model not in _networks:
        _networks[model] = module.encoder_and_step(model)
    encoder, network = _networks[model]

    def step(tokens, states):
        memory, states = states
        logits, alignments, states = network.predict_on_batch([tokens[:, None], memory, states])
        return logits[:, 0], [memory, states], alignments[:, 0]

    states = encoder.predict_on_batch(sources)
    return search(
        step, states, len(sources), start, stop, max_length, beam_width, length_penalty,
        never=[_PADDING],
    )  # fmt: skip


def search(
    step, states, batch_size, start, stop, max_length, beam_width=1, length_penalty=0.0, never=(),
    prompts=None, choose=None,
):  # fmt: skip
    """Beam search over a step function; greedy with ``beam_width`` 1.

    Args:
        step: function of tokens (B,) int32 and states that returns logits (B, V), the states
            behind these tokens, and their alignments (B, S) or None.
        states: the states before the first step, a nest of arrays (B, ...), of NumPy or of the
            backend. The step gets them ``beam_width`` times, those of a row side by side: shapes
            are the same at every step.
        batch_size: B.
        start: the first token, or (B,) one of each row.
        stop, max_length, beam_width, length_penalty: ``decode``'s; without a ``stop``, None,
            results have ``max_length``.
        never: tokens that no result has.
        prompts: of each row, a list of tokens that follow the first one before its result begins;
            None: none.
        choose: with ``beam_width`` 1, how a token is chosen: a function of log probabilities of
            results (B, V) that returns tokens (B,); None: the most probable.

    Returns:
        ``Decoded``. Of equal ones it is the one from the better beginning, then the lower token.
    """
    _check_length_penalty(length_penalty)
    prompts = [[]] * batch_size if prompts is None else prompts
    before = np.array([len(prompt) for prompt in prompts])[:, None]  # steps, of each row
    rows, places = np.arange(batch_size)[:, None], np.arange(beam_width)
    states = _taken(states, np.repeat(rows, beam_width))
    tokens = np.repeat(np.broadcast_to(np.int32(start), batch_size)[:, None], beam_width, axis=1)
    # Log probabilities of the beginnings; minus infinity where a place has none.
    sums = np.where(places == 0, 0.0, np.full((batch_size, beam_width), -np.inf))
    free = np.full((batch_size, 1), beam_width)  # places that no ended one has taken
    steps = max_length + before.max()
    histories, traces = np.zeros((batch_size, beam_width, steps), "int32"), None
    best = Decoded(
        np.zeros((batch_size, max_length), "int32"), np.zeros(batch_size, "int32"),
        np.full(batch_size, -np.inf), None,
    )  # fmt: skip
    for count in range(1, steps + 1):
        lengths = count - before  # of the results
        logits, states, alignments = step(tokens.reshape(-1), states)
        changes = _log_softmax(logits).reshape(batch_size, beam_width, -1)
        for token in never:
            changes[:, :, token] = -np.inf
        for row in np.flatnonzero(lengths <= 0):
            changes[row] = -np.inf
            changes[row, :, prompts[row][count - 1]] = 0.0
        vocabulary_size = changes.shape[-1]
        changes += sums[:, :, None]
        extended = changes.reshape(batch_size, -1)
        if choose is None:
            sums, chosen = _largest(extended, beam_width)
        else:
            chosen = choose(extended)[:, None]
            sums = np.take_along_axis(extended, chosen, axis=1)
        sums[places >= free] = -np.inf
        parents, tokens = chosen // vocabulary_size, (chosen % vocabulary_size).astype("int32")
        histories = histories[rows, parents]
        histories[:, :, count - 1] = tokens
        if alignments is not None:
            alignments = ops.convert_to_numpy(alignments).reshape(batch_size, beam_width, -1)
            if traces is None:
                shape = (batch_size, beam_width, steps, alignments.shape[-1])
                traces = np.zeros(shape, "float32")
                best = best._replace(alignments=np.zeros_like(traces[:, 0, :max_length]))
            traces[:, :, count - 1] = alignments
            traces = traces[rows, parents]

        stopped = (tokens == stop) & (lengths > 0) & (sums > -np.inf)
        complete = stopped | (lengths == max_length)
        penalties = _penalty(np.maximum(lengths, 1), length_penalty)
        scores = np.where(complete, sums, -np.inf) / penalties
        place = scores.argmax(axis=1)
        for row in np.flatnonzero(scores.max(axis=1) > best.scores):  # longer than what was there
            first, size = before[row, 0], lengths[row, 0] - stopped[row, place[row]]
            best.tokens[row, :size] = histories[row, place[row], first : first + size]
            best.lengths[row], best.scores[row] = size, scores[row, place[row]]
            if traces is not None:
                trace = traces[row, place[row], first : first + size]
                best.alignments[row, :size] = trace

        free -= stopped.sum(axis=1, keepdims=True)
        # What goes on loses probability, and never gets to more than this.
        bounds = sums / _penalty(max_length, length_penalty)
        sums[complete | (bounds <= best.scores[:, None])] = -np.inf
        if np.all(sums == -np.inf):
            break
        states = _taken(states, rows * beam_width + parents)
    return best


def _log_softmax(logits):
    logits = ops.convert_to_numpy(logits).astype("float64")
    largest = logits.max(axis=-1, keepdims=True)
    if not np.isfinite(largest).all():
        raise ValueError(
            "the step gave logits that are NaN or infinite: the weights, or the states, are, or "
            "their precision is too low."
        )
    logits -= largest
    logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return logits


def _largest(values, count):
    """(B, N) -> the ``count`` largest of each row, and where: of equal ones the first first.

    They are minus infinity in ``values`` then.
    """
    rows = np.arange(len(values))
    found = []
    for _ in range(count):
        place = values.argmax(axis=1)
        found.append((values[rows, place], place))
        values[rows, place] = -np.inf
    return (np.stack(each, axis=1) for each in zip(*found, strict=True))


def _taken(states, places):
    """States of these places of the batch, in this order."""
    places = places.reshape(-1)
    if np.array_equal(places, np.arange(len(places))):
        return states
    return tree.map_structure(
        lambda each: (
            each[places] if isinstance(each, np.ndarray) else ops.take(each, places, axis=0)
        ),
        states,
    )


def _penalty(length, length_penalty):
    return ((5 + length) / 6) ** length_penalty


def _check(name, value, smallest, largest=np.inf, remark=""):
    try:
        fits = not isinstance(value, bool) and smallest <= operator.index(value) <= largest
    except TypeError:
        fits = False
    if not fits:
        wanted = f"{smallest} or more" if largest == np.inf else f"{smallest} to {largest}{remark}"
        raise ValueError(f"{name} must be an integer of {wanted}, got {value!r}.")


def _check_length_penalty(value):
    if not (isinstance(value, numbers.Real) and 0 <= value <= 10):
        raise ValueError(f"length_penalty must be a number of 0 to 10, got {value!r}.")


def _checked_sources(sources, vocabulary_size):
    """int32 (B, S)."""
    wanted = f"sources must be integers (B, S) of 0 to {vocabulary_size - 1}, padded by 0 behind"
    try:
        sources = ops.convert_to_numpy(sources) if ops.is_tensor(sources) else np.asarray(sources)
    except ValueError:  # rows of several lengths
        raise ValueError(f"{wanted}, got rows of several lengths.") from None
    if sources.ndim != 2 or sources.dtype.kind not in "iu" or len(sources) == 0:
        raise ValueError(f"{wanted}, got {sources.dtype} of shape {sources.shape}.")
    outside = (sources < 0) | (sources >= vocabulary_size)
    if outside.any():
        row, place = np.argwhere(outside)[0]
        raise ValueError(f"{wanted}, got {sources[row, place]} in row {row}.")
    empty = (sources == 0).all(axis=1)
    if empty.any():
        raise ValueError(f"{wanted}, got no token in row {empty.argmax()}: leave it out.")
    return sources.astype("int32")
