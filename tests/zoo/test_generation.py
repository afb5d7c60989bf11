"""Generation against the plainest way: the whole model, at each token anew, and NumPy."""

import gc
import weakref

import keras
import numpy as np
import pytest
from keras import ops

import zoo
from zoo import decoding, generation
from zoo.attention.mixtral import with_routers
from zoo.generation import generate

VOCABULARY, POSITIONS = 13, 40
PROMPTS = [[3, 1, 4], [1], [5, 9, 2, 6, 5, 3, 5], [8, 9, 7]]


def filled(name, seed=1, scale=1.0, **arguments):
    """A tiny model with weights of which none is zero, and logits that are far apart."""
    model = zoo.build(name, **arguments)
    generator = np.random.default_rng(seed)
    model.set_weights([generator.normal(scale=scale, size=each.shape) for each in model.weights])
    return model


@pytest.fixture(scope="module")
def gpt2():
    return filled(
        "gpt2", vocabulary_size=VOCABULARY, max_length=POSITIONS, width=16, depth=2, num_heads=4
    )


def log_probabilities(model, tokens, source=None):
    """Of what follows a list of tokens, (V,) float64."""
    # Of one length, which JAX compiles once; what is behind changes nothing.
    padded = np.zeros((1, POSITIONS), "int32")
    padded[0, : len(tokens)] = tokens
    given = padded if source is None else [batch_of([source], longest=8), padded]
    logits = ops.convert_to_numpy(model(given))[0, len(tokens) - 1].astype("float64")
    logits -= logits.max()
    return logits - np.log(np.exp(logits).sum())


def batch_of(sources, longest):
    """(B, longest), 0 behind those that are shorter."""
    padded = np.zeros((len(sources), longest), "int32")
    for row, source in enumerate(sources):
        padded[row, : len(source)] = source
    return padded


def plainly(model, prompt, max_length, stop=None, choose=np.argmax, source=None):
    """(tokens, score), the whole text at each token anew."""
    tokens, score = list(prompt), 0.0
    while len(tokens) < len(prompt) + max_length:
        each = log_probabilities(model, tokens, source)
        token = int(choose(each))
        score += each[token]
        if token == stop:
            break
        tokens.append(token)
    return tokens[len(prompt) :], score


def assert_results(found, expected):
    assert found.tokens.dtype == np.int32 and found.alignments is None
    for row, (tokens, score) in enumerate(expected):
        assert found.lengths[row] == len(tokens)
        assert found.tokens[row, : len(tokens)].tolist() == tokens
        assert not found.tokens[row, len(tokens) :].any()
        assert found.scores[row] == pytest.approx(score, abs=1e-4)


@pytest.mark.parametrize("max_length", [1, 12])
def test_greedy(gpt2, max_length):
    """Prompts of several lengths, together and each alone."""
    expected = [plainly(gpt2, prompt, max_length) for prompt in PROMPTS]
    assert max_length == 1 or all(len(set(tokens)) > 2 for tokens, _ in expected)
    assert_results(generate(gpt2, PROMPTS, max_length), expected)
    for prompt, each in zip(PROMPTS, expected, strict=True):
        assert_results(generate(gpt2, [prompt], max_length), [each])
    assert_results(zoo.generate(gpt2, np.array(PROMPTS[:1]), max_length), expected[:1])


def test_stop_token(gpt2):
    """Which ends a result where it comes, and means nothing in a prompt."""
    free = [plainly(gpt2, prompt, 12)[0] for prompt in PROMPTS]
    stop = free[0][4]
    expected = [plainly(gpt2, prompt, 12, stop) for prompt in [*PROMPTS, [stop, 1, stop]]]
    assert any(len(tokens) < 12 for tokens, _ in expected)
    assert_results(generate(gpt2, [*PROMPTS, [stop, 1, stop]], 12, stop=stop), expected)


def test_to_the_last_position(gpt2):
    """The last token of a result needs no position: nothing is computed from it."""
    prompt = [1] * 5
    expected = plainly(gpt2, prompt, POSITIONS - 4)
    assert_results(generate(gpt2, [prompt], POSITIONS - 4), [expected])


_ROTARY = {
    "vocabulary_size": VOCABULARY,
    "width": 16,
    "depth": 2,
    "num_heads": 4,
    "num_key_value_heads": 2,
    "hidden_width": 16,
}
_SIDES = {
    "vocabulary_size": VOCABULARY,
    "width": 16,
    "depth": 2,
    "num_heads": 4,
    "hidden_width": 16,
}
DECODERS = {
    "llama3_8b": _ROTARY,
    "mistral_7b": {**_ROTARY, "window": 3},
    "qwen3_0_6b": {**_ROTARY, "head_width": 6},
    "mixtral_8x7b": {**_ROTARY, "num_experts": 3},
}
ENCODER_DECODERS = {
    "t5_small": {**_SIDES, "head_width": 6},
    "transformer_base": {**_SIDES, "source_vocabulary_size": 20},
}


@pytest.mark.parametrize("name", DECODERS)
def test_every_decoder(name):
    model = filled(name, **DECODERS[name])
    assert_results(generate(model, PROMPTS, 9), [plainly(model, each, 9) for each in PROMPTS])


def of_pairs(name):
    """An encoder-decoder whose results depend on the source."""
    if name == "t5_small":
        return filled(name, scale=0.5, **ENCODER_DECODERS[name])
    model = zoo.build(name, seed=2, **ENCODER_DECODERS[name])
    for each in model.weights:  # norms behind all that is added make large weights alike
        each.assign(each if "norm" in each.path else 2 * each)
    return model


# tests/parity has greedy tokens on every backend, and test_beams has beams.
@pytest.mark.any_backend
@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_every_encoder_decoder(name):
    """Sources of several lengths, together and alone, which the decoder does see."""
    model, never = of_pairs(name), [0]

    def choose(each):
        return max(range(1, VOCABULARY), key=each.__getitem__)

    expected = [plainly(model, [2], 9, choose=choose, source=source) for source in PROMPTS]
    assert len({tuple(tokens) for tokens, _ in expected}) > 2
    assert_results(generate(model, PROMPTS, 9, start=2), expected)
    assert_results(generate(model, PROMPTS[:1], 9, start=2), expected[:1])
    padded = batch_of(PROMPTS, longest=8)
    assert_results(generate(model, padded, 9, start=2), expected)

    def step(tokens, states):
        sources, texts = states
        texts = np.concatenate([texts, tokens[:, None]], axis=1)
        pairs = zip(sources, texts, strict=True)
        logits = [log_probabilities(model, text, source) for source, text in pairs]
        return np.stack(logits), [sources, texts], None

    arguments = {"start": 2, "stop": 5, "max_length": 6, "beam_width": 3}
    states = [padded, np.zeros((4, 0), "int32")]
    searched = decoding.search(step, states, 4, never=never, **arguments)
    found = generate(model, PROMPTS, **arguments)
    np.testing.assert_array_equal(found.tokens, searched.tokens)
    np.testing.assert_allclose(found.scores, searched.scores, atol=1e-4)


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_beams(gpt2, length_penalty):
    """Of prompts of several lengths, as of each alone; and as a search without a past."""

    def step(tokens, states):
        texts = np.concatenate([states, tokens[:, None]], axis=1)
        return np.stack([log_probabilities(gpt2, text) for text in texts]), texts, None

    arguments = {"stop": 2, "max_length": 8, "beam_width": 3, "length_penalty": length_penalty}
    together = generate(gpt2, PROMPTS, **arguments)
    for row, prompt in enumerate(PROMPTS):
        states = np.array([prompt[:-1]], "int32").reshape(1, -1)
        expected = decoding.search(step, states, 1, prompt[-1], **arguments)
        found = (expected.tokens[0, : expected.lengths[0]].tolist(), expected.scores[0])
        assert_results(generate(gpt2, [prompt], **arguments), [found])
        assert_results(decoding.Decoded(*(each[row:][:1] for each in together[:3]), None), [found])
    greedy = generate(gpt2, PROMPTS, 8, stop=2)
    assert (together.scores > greedy.scores).any() or length_penalty


LOGITS = np.array([0.5, -1.0, 2.0, 1.9, -3.0, 0.0, 1.0])


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"temperature": 1.0}, [0, 1, 2, 3, 4, 5, 6]),
        ({"temperature": 0.5}, [0, 1, 2, 3, 4, 5, 6]),
        ({"temperature": 2.0}, [0, 1, 2, 3, 4, 5, 6]),
        ({"temperature": 1.0, "top_k": 1}, [2]),
        ({"temperature": 1.0, "top_k": 3}, [2, 3, 6]),
        ({"temperature": 1.0, "top_k": 100}, [0, 1, 2, 3, 4, 5, 6]),
        # The probabilities, from the largest: 0.360, 0.326, 0.133, 0.080, 0.049, 0.018, 0.002.
        ({"temperature": 1.0, "top_p": 1e-6}, [2]),
        ({"temperature": 1.0, "top_p": 0.35}, [2]),
        ({"temperature": 1.0, "top_p": 0.4}, [2, 3]),
        ({"temperature": 1.0, "top_p": 0.8}, [2, 3, 6]),
        ({"temperature": 1.0, "top_p": 1.0}, [0, 1, 2, 3, 4, 5, 6]),
        # Of 0.440, 0.398 and 0.162 now.
        ({"temperature": 1.0, "top_k": 3, "top_p": 0.83}, [2, 3]),
        # Of 0.492, 0.402, 0.066, ...: the temperature comes first.
        ({"temperature": 0.5, "top_p": 0.45}, [2]),
    ],
    ids=str,
)
def test_what_is_drawn_and_how_often(options, kept):
    count = 40_000
    choose = generation._choice(**{"top_k": None, "top_p": None, **options}, beam_width=1, seed=5)
    drawn = choose(np.tile(LOGITS - 7.0, (count, 1)))
    probabilities = np.zeros(len(LOGITS))
    probabilities[kept] = np.exp(LOGITS[kept] / options["temperature"])
    probabilities /= probabilities.sum()
    found = np.bincount(drawn, minlength=len(LOGITS)) / count
    deviation = np.sqrt(probabilities * (1 - probabilities) / count)
    assert np.all(np.abs(found - probabilities) <= 4 * deviation)


def test_drawn_texts(gpt2):
    """The probabilities are of what came before, also in the prompt; scores are the model's."""
    found = generate(gpt2, PROMPTS, 10, temperature=0.7, top_k=5, seed=3)
    random = np.random.default_rng(3)
    # Rows draw at the same steps, in which longer prompts are still read.
    shortest, longest = min(map(len, PROMPTS)), max(map(len, PROMPTS))
    points = np.stack([random.random(len(PROMPTS)) for _ in range(longest - shortest + 10)])
    for row, prompt in enumerate(PROMPTS):
        own = iter(points[len(prompt) - shortest :, row])

        def choose(each, own=own):
            order = np.argsort(-each)[:5]
            probabilities = np.exp(each[order] / 0.7)
            sums = np.cumsum(probabilities / probabilities.sum())
            return order[np.argmax(sums > next(own))]

        expected = plainly(gpt2, prompt, 10, choose=choose)
        one = decoding.Decoded(*(each[row:][:1] for each in found[:3]), None)
        assert_results(one, [expected])


def test_a_seed_gives_the_same_tokens_on_every_backend(gpt2):
    first = generate(gpt2, PROMPTS[:2], 10, temperature=1.5, seed=0)
    np.testing.assert_array_equal(
        first.tokens, generate(gpt2, PROMPTS[:2], 10, temperature=1.5, seed=0).tokens
    )
    assert first.tokens.tolist() == SEEDED
    other = generate(gpt2, PROMPTS[:2], 10, temperature=1.5, seed=1)
    assert (other.tokens != first.tokens).any()
    several = [generate(gpt2, PROMPTS[:2], 10, temperature=1.5).tokens for _ in range(2)]
    assert (several[0] != several[1]).any()


SEEDED = [[5, 8, 12, 12, 0, 5, 0, 12, 5, 9], [9, 1, 5, 12, 12, 5, 5, 9, 5, 1]]


def test_weights_are_read_afresh():
    model = filled(
        "gpt2", vocabulary_size=VOCABULARY, max_length=POSITIONS, width=8, depth=1, num_heads=2
    )
    before = generate(model, PROMPTS[:1], 6).tokens
    other = filled(
        "gpt2",
        seed=2,
        vocabulary_size=VOCABULARY,
        max_length=POSITIONS,
        width=8,
        depth=1,
        num_heads=2,
    )
    model.set_weights(other.get_weights())
    after = generate(model, PROMPTS[:1], 6).tokens
    assert (before != after).any()
    np.testing.assert_array_equal(after, generate(other, PROMPTS[:1], 6).tokens)


def test_layers_that_have_got_other_variables():
    """As LoRA gives them, behind whose step the texts are other ones."""
    model = filled(
        "gpt2", vocabulary_size=VOCABULARY, max_length=POSITIONS, width=16, depth=1, num_heads=2
    )
    before = generate(model, PROMPTS[:1], 6).tokens
    layer = model.get_layer("block1_projection")
    layer.enable_lora(2)
    random = np.random.default_rng(0)
    for variable in (layer.lora_kernel_a, layer.lora_kernel_b):
        variable.assign(random.normal(scale=3.0, size=variable.shape))
    expected = plainly(model, PROMPTS[0], 6)
    assert expected[0] != before[0].tolist()
    assert_results(generate(model, PROMPTS[:1], 6), [expected])


def test_a_model_that_has_written_is_freed():
    model = zoo.build("gpt2", vocabulary_size=VOCABULARY, width=8, depth=1, num_heads=2)
    generate(model, PROMPTS[:1], 2)
    reference = weakref.ref(model)
    del model
    gc.collect()
    assert reference() is None


def test_a_saved_model(gpt2, tmp_path):
    gpt2.save(tmp_path / "mine.keras")
    loaded = keras.models.load_model(tmp_path / "mine.keras")
    expected = generate(gpt2, PROMPTS, 6).tokens
    np.testing.assert_array_equal(generate(loaded, PROMPTS, 6).tokens, expected)


@pytest.mark.any_backend
@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_an_encoder_decoder_is_saved_after_it_has_written(name, tmp_path):
    model = of_pairs(name)
    expected = generate(model, PROMPTS, 6, start=2).tokens
    model.save(tmp_path / "mine.keras")
    loaded = keras.models.load_model(tmp_path / "mine.keras")
    np.testing.assert_array_equal(generate(loaded, PROMPTS, 6, start=2).tokens, expected)
    loaded.save(tmp_path / "again.keras")


def test_half_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = filled(
            "gpt2", scale=0.2, vocabulary_size=VOCABULARY, max_length=POSITIONS, width=16, depth=2,
            num_heads=4,
        )  # fmt: skip
    finally:
        keras.config.set_dtype_policy(before)
    found = generate(model, PROMPTS, 5)
    for row, prompt in enumerate(PROMPTS):
        whole = [*prompt, *found.tokens[row].tolist()]
        for place in range(len(prompt), len(whole)):
            each = log_probabilities(model, whole[:place])
            assert each[whole[place]] > each.max() - 0.02


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"prompts": []}, "prompts must be lists of tokens, integers of 0 to 12, got none"),
        ({"prompts": [[1], []]}, "at least one, got none in row 1"),
        ({"prompts": [[1], [13]]}, "got 13 in row 1"),
        ({"prompts": [[1, -1]]}, "got -1 in row 0"),
        ({"prompts": [[1.5]]}, r"got float64 of shape \(1,\) in row 0"),
        ({"prompts": ["text"]}, r"of shape \(\) in row 0"),
        ({"prompts": [1, 2]}, r"of shape \(\) in row 0"),
        ({"prompts": 5}, "got 5"),
        ({"max_length": 0}, "max_length must be an integer of 1 or more, got 0"),
        (
            {"max_length": 39},
            "gpt2 has 40 positions: a prompt of 3 tokens leaves 38 for the result",
        ),
        ({"prompts": [[1] * 42]}, "a prompt of 42 tokens leaves 0 for the result"),
        ({"stop": 13}, "stop must be an integer of 0 to 12"),
        ({"start": 0}, "gpt2 has prompts, got start=0"),
        ({"temperature": -1}, "temperature must be a number of 0 or more, got -1"),
        ({"temperature": np.nan}, "temperature must be a number of 0 or more, got nan"),
        ({"temperature": 1, "top_k": 0}, "top_k must be an integer of 1 or more, got 0"),
        ({"temperature": 1, "top_p": 0}, "top_p must be a number above 0 and up to 1, got 0"),
        ({"temperature": 1, "top_p": 1.1}, "top_p must be a number above 0 and up to 1, got 1.1"),
        ({"temperature": 1, "seed": -1}, "seed must be an integer of 0 or more, got -1"),
        ({"temperature": 1, "beam_width": 2}, "got beam_width=2 and temperature=1, of which one"),
        ({"top_k": 5}, "got 5, None and None: give a temperature above 0"),
        ({"seed": 5}, "got None, None and 5: give a temperature above 0"),
        ({"beam_width": 14}, "beam_width must be an integer of 1 to 13"),
        ({"length_penalty": -1}, "length_penalty must be a number of 0 to 10, got -1"),
        ({"length_penalty": 11}, "length_penalty must be a number of 0 to 10, got 11"),
    ],
    ids=str,
)
def test_bad_arguments_are_named(gpt2, arguments, told):
    with pytest.raises(ValueError, match=told):
        generate(gpt2, **{"prompts": [[1, 2, 3]], "max_length": 5, **arguments})


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"start": None}, "start must be an integer of 0 to 12 .a token of the target., got None"),
        ({"start": 13}, "start must be an integer of 0 to 12"),
        ({"stop": 0}, "stop must be an integer of 1 to 12"),
        ({"prompts": [[20]]}, "integers of 0 to 19, got 20 in row 0"),
        ({"prompts": [[1], [0, 0]]}, "got no token in row 1: leave it out"),
    ],
    ids=str,
)
def test_bad_arguments_of_an_encoder_decoder_are_named(arguments, told):
    model = zoo.build("transformer_base", **ENCODER_DECODERS["transformer_base"])
    with pytest.raises(ValueError, match=told):
        generate(model, **{"prompts": [[1, 2]], "max_length": 5, "start": 1, **arguments})


def test_logits_that_no_text_comes_from():
    """Of half precision, for one, in which large ones are infinite."""
    model = filled("gpt2", vocabulary_size=VOCABULARY, width=8, depth=1, num_heads=2)
    norm = model.get_layer("final_norm")
    norm.gamma.assign(np.full(norm.gamma.shape, 1e38))
    norm.beta.assign(np.full(norm.beta.shape, 1e38))
    with pytest.raises(ValueError, match="logits that are NaN or infinite"):
        generate(model, [[1]], 3)


def test_a_model_that_does_not_write():
    model = zoo.build("mlp", input_shape=(3,), num_classes=2)
    with pytest.raises(ValueError, match=r"model must be one of gpt2, .*, got 'mlp'"):
        generate(model, [[1]], 3)
    with pytest.raises(ValueError, match="got 'gpt2'"):
        generate("gpt2", [[1]], 3)
    routed = with_routers(zoo.build("mixtral_8x7b", **DECODERS["mixtral_8x7b"]))
    with pytest.raises(ValueError, match="model must give logits alone, got 2 outputs"):
        generate(routed, [[1]], 3)
