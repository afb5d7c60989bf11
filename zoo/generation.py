"""Generation: texts that transformers write.

    tokens, lengths, scores, _ = generate(zoo.build("gpt2"), [[464, 3290], [818]], max_length=20)
    generate(model, prompts, max_length=20, stop=50256, temperature=0.8, top_k=40, seed=0)
    generate(model, prompts, max_length=20, beam_width=4, length_penalty=0.6)
    generate(zoo.build("t5_small"), sources, start=0, stop=1, max_length=20)

The most probable token comes next, or one that is drawn: from the probabilities to the power of
1 / temperature, of the ``top_k`` most probable tokens (Fan, Lewis and Dauphin 2018,
arXiv:1805.04833, section 4), or of the most probable ones that together have ``top_p`` (Holtzman,
Buys, Du, Forbes and Choi 2019, arXiv:1904.09751, section 3.1). Or beams are searched, as in
``zoo.decoding``.

Each step computes one token: the keys and values of those before it are kept, in room that is made
for all of them at first, and are read again, which is all that grows with a text. What all prompts
of a batch have in length is read in one step; a longer one is read on, token by token, while the
shorter ones are gone on with.
"""

import numbers
import weakref

import keras
import numpy as np
from keras import ops

import zoo
from custom_layers import LearnedPositions
from custom_layers.continuation import Continuation
from zoo.compiled import compiled
from zoo.decoding import _PADDING, _check, _checked_sources, search

_DECODERS = tuple(f"zoo.attention.{name}" for name in ("gpt2", "llama", "mixtral", "qwen3"))
_ENCODER_DECODERS = ("zoo.attention.t5", "zoo.attention.transformer")
_networks = weakref.WeakKeyDictionary()  # {model: (its variables, its functions)}, compiled once
_ROOM = 64  # tokens; room for a multiple of them, so that few lengths are compiled anew


def generate(
    model, prompts, max_length, stop=None, start=None, temperature=0.0, top_k=None, top_p=None,
    beam_width=1, length_penalty=0.0, seed=None,
):  # fmt: skip
    """The tokens that a model goes on with.

    Args:
        model: a transformer of the catalog, also a saved one: a decoder, or an encoder-decoder.
        prompts: a list of lists of tokens, of any lengths, or an array (B, P). A decoder goes on
            with them; an encoder-decoder reads them, where they are padded by 0 behind.
        max_length: largest number of tokens of a result, its stop token among them.
        stop: the token that ends a result; None: none does. Of an encoder-decoder it is not 0,
            the padding, which is never a result's token.
        start: of an encoder-decoder, the token that targets begin with in training.
        temperature: 0 takes the most probable token; 1 draws from the probabilities; between,
            more of the probable ones, and above, fewer.
        top_k: number of tokens that are drawn from, the most probable ones; None: all.
        top_p: the most probable tokens are drawn from, as few as have this probability; None: all.
        beam_width: number of beginnings that are kept, without drawing.
        length_penalty: of beams; larger favours longer results.
        seed: integer, 0 or more, that decides what is drawn, the same on every backend but for
            rounding; None: another each time.

    Returns:
        ``zoo.decoding.Decoded``: tokens (B, max_length) without prompts and stop token, lengths
        (B,), and scores (B,), log probabilities; there are no alignments.

    Raises:
        ValueError: an argument is not as above, a prompt is empty or has a token that the model
            does not know, or there are more tokens than the model has positions.
    """
    module = zoo._MODULES.get(getattr(model, "name", None))
    if module not in _DECODERS + _ENCODER_DECODERS:
        known = [
            each for each in zoo.list_models()
            if zoo._MODULES[each] in _DECODERS + _ENCODER_DECODERS
        ]  # fmt: skip
        given = getattr(model, "name", model)
        raise ValueError(f"model must be one of {', '.join(known)}, got {given!r}.")
    if len(model.outputs) > 1:
        raise ValueError(f"model must give logits alone, got {len(model.outputs)} outputs.")
    vocabulary_size = model.output_shape[-1]
    _check("max_length", max_length, 1)
    _check("beam_width", beam_width, 1, vocabulary_size, " (the vocabulary)")
    if stop is not None:
        smallest = 1 if module in _ENCODER_DECODERS else 0
        _check("stop", stop, smallest, vocabulary_size - 1, " (a token)")
    choose = _choice(temperature, top_k, top_p, beam_width, seed)

    if module in _ENCODER_DECODERS:
        _check("start", start, 0, vocabulary_size - 1, " (a token of the target)")
        sources = _padded(prompts, _source_table(model).input_dim)
        prompts, never = np.full((len(sources), 1), start), [_PADDING]
    elif start is not None:
        raise ValueError(
            f"start is an encoder-decoder's, and {model.name} has prompts, got start={start!r}."
        )
    else:
        prompts, never = _checked_prompts(prompts, vocabulary_size), []
    longest = max(map(len, prompts))
    limit = _max_length(model)
    if longest + max_length - 1 > limit:
        raise ValueError(
            f"{model.name} has {limit} positions: a prompt of {longest} tokens leaves "
            f"{max(limit - longest + 1, 0)} for the result, got max_length={max_length}."
        )

    encode, read, write = _compiled_once(model, module)
    memory = [] if encode is None else encode([], sources)
    capacity = min(limit, _rounded_up(longest + max_length - 1))
    shortest = min(map(len, prompts))
    # What they have in common but the last token, at least one token, which is overwritten then.
    seen = np.zeros((len(prompts), min(capacity, _few_lengths(max(shortest - 1, 1)))), "int32")
    for row, prompt in enumerate(prompts):
        seen[row, : shortest - 1] = prompt[: shortest - 1]
    states = [memory, read([], seen, memory, np.zeros(capacity, "bool"))]
    position = shortest - 1

    def step(tokens, states):
        nonlocal position
        memory, past = states
        logits, past = write(past, tokens[:, None], memory, np.int32(position))
        position += 1
        return logits, [memory, past], None

    return search(
        step, states, len(prompts), [prompt[shortest - 1] for prompt in prompts],
        stop, max_length, beam_width, length_penalty, never,
        [list(prompt[shortest:]) for prompt in prompts], choose,
    )  # fmt: skip


def _compiled_once(model, module):
    """``_functions``, made anew where layers have got other variables, by LoRA for one."""
    variables, functions = _networks.get(model, ((), None))
    if list(map(id, variables)) != list(map(id, model.variables)):
        functions = _functions(model, module)
        _networks[model] = (model.variables, functions)
    return functions


def _functions(model, module):
    """(encode, read, write), compiled; encode is None for a decoder.

    They hold the model's layers, and not the model, which is freed when nobody else holds it.
    """
    if module in _DECODERS:
        encode, decoder = None, keras.Model(model.inputs, model.output)
    else:
        encoder, decoder = _halves(model)
        encode = compiled(lambda _, sources: encoder(sources), encoder)

    def call(tokens, memory):
        return decoder([tokens, *memory] if memory else tokens)

    def read(_, tokens, memory, room):
        with Continuation(0, capacity=room.shape[0]) as continuation:
            call(tokens, memory)
        return continuation.past

    def write(past, tokens, memory, position):
        with Continuation(position, past) as continuation:
            logits = call(tokens, memory)
        return logits[:, 0], continuation.past

    return encode, compiled(read, decoder), compiled(write, decoder)


def _halves(model):
    """Source (B, S) -> memory; and [target (B, T), *memory] -> logits: with the model's weights.

    The memory is what the decoder sees of the source: its mask, and each block's keys and values.
    """
    source, target = model.inputs
    layers = [each for each in model.layers if each.name.endswith("_cross_attention")]
    (*_, mask), memory = layers[0].input, []
    for layer in layers:
        _, keys, values, _ = layer.input
        memory += [keys, values]
    history = target._keras_history
    halves = (
        keras.Model(source, [mask, *memory]),
        keras.Model([target, mask, *memory], model.output),
    )
    # A model that begins in the midst of another changes it in Keras 3.15, and save() fails then.
    target._keras_history = history
    return halves


def _source_table(model):
    """The embeddings of an encoder-decoder's source."""
    tables = {each.name: each for each in model.layers if each.name.endswith("_embedding")}
    return tables.get("source_embedding") or tables["token_embedding"]


def _max_length(model):
    """How many positions a model has; infinity where it may have any."""
    limits = [each.max_length for each in model.layers if isinstance(each, LearnedPositions)]
    return min(limits, default=np.inf)


def _choice(temperature, top_k, top_p, beam_width, seed):
    """The function that draws tokens, as ``search`` takes it; None to take the most probable."""
    if not (isinstance(temperature, numbers.Real) and 0 <= temperature < np.inf):
        raise ValueError(f"temperature must be a number of 0 or more, got {temperature!r}.")
    if top_k is not None:
        _check("top_k", top_k, 1)
    if top_p is not None and not (isinstance(top_p, numbers.Real) and 0 < top_p <= 1):
        raise ValueError(f"top_p must be a number above 0 and up to 1, got {top_p!r}.")
    if seed is not None:
        _check("seed", seed, 0)
    if not temperature:
        if top_k is not None or top_p is not None or seed is not None:
            raise ValueError(
                f"only drawing takes top_k, top_p and seed, got {top_k!r}, {top_p!r} and {seed!r}: "
                f"give a temperature above 0."
            )
        return None
    if beam_width > 1:
        raise ValueError(
            f"beams are searched without drawing: got beam_width={beam_width} and "
            f"temperature={temperature!r}, of which one can be given."
        )
    random = np.random.default_rng(seed)

    def choose(log_probabilities):
        return _drawn(log_probabilities, random, temperature, top_k, top_p)

    return choose


def _drawn(log_probabilities, random, temperature, top_k, top_p):
    """(B, V) -> (B,) tokens."""
    points = random.random(len(log_probabilities))
    tokens = log_probabilities.argmax(axis=1)
    for row, (logits, point) in enumerate(zip(log_probabilities, points, strict=True)):
        if np.isneginf(logits[tokens[row]]):
            continue  # has ended
        order = np.argsort(-logits, kind="stable")[:top_k]
        probabilities = np.exp((logits[order] - logits[order[0]]) / temperature)
        sums = np.cumsum(probabilities)
        if top_p is not None:
            kept = 1 + np.searchsorted(sums, top_p * sums[-1])
            sums = sums[:kept]
        tokens[row] = order[min(np.searchsorted(sums, point * sums[-1], "right"), len(sums) - 1)]
    return tokens


def _checked_prompts(prompts, vocabulary_size):
    """A list of lists of tokens."""
    wanted = f"prompts must be lists of tokens, integers of 0 to {vocabulary_size - 1}"
    if ops.is_tensor(prompts):
        prompts = ops.convert_to_numpy(prompts)
    try:
        prompts = [np.asarray(prompt) for prompt in prompts]
    except TypeError:
        raise ValueError(f"{wanted}, got {prompts!r}.") from None
    if not prompts:
        raise ValueError(f"{wanted}, got none.")
    for row, prompt in enumerate(prompts):
        if prompt.size == 0:
            raise ValueError(f"{wanted}, at least one, got none in row {row}.")
        if prompt.ndim != 1 or prompt.dtype.kind not in "iu":
            raise ValueError(f"{wanted}, got {prompt.dtype} of shape {prompt.shape} in row {row}.")
        outside = (prompt < 0) | (prompt >= vocabulary_size)
        if outside.any():
            raise ValueError(f"{wanted}, got {prompt[outside][0]} in row {row}.")
    return [prompt.tolist() for prompt in prompts]


def _padded(prompts, vocabulary_size):
    """int32 (B, S), 0 behind those that are shorter."""
    prompts = _checked_prompts(prompts, vocabulary_size)
    sources = np.zeros((len(prompts), max(map(len, prompts))), "int32")
    for row, prompt in enumerate(prompts):
        sources[row, : len(prompt)] = prompt
    return _checked_sources(sources, vocabulary_size)


def _rounded_up(length):
    return -(-length // _ROOM) * _ROOM


def _few_lengths(length):
    """Rounded up to a multiple of 16, and of an eighth of a power of two that is not below it."""
    step = max(16, (1 << (length - 1).bit_length()) // 8)
    return -(-length // step) * step
