"""Greedy and beam search against plain ones that start from the beginning at each step."""

import gc
import itertools
import os
import subprocess
import sys
import weakref
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

import zoo
from custom_layers import AttentiveDecoder, MultiplicativeAttention
from zoo import decoding
from zoo.decoding import decode, search
from zoo.recurrent.seq2seq_bahdanau import seq2seq_bahdanau
from zoo.recurrent.seq2seq_luong import seq2seq_luong

ROWS, SOURCE_TIME = 3, 4


def log_softmax(logits):
    logits = np.asarray(logits, "float64")
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


class Toy:
    """A decoder whose logits and alignment are random numbers for each row and beginning."""

    start, stop, never = 3, 2, (0,)

    def __init__(self, seed=0, vocabulary_size=5, spread=1.5, tensors=False):
        self.seed, self.vocabulary_size, self.spread = seed, vocabulary_size, spread
        self.convert = ops.convert_to_tensor if tensors else np.asarray
        self.batches = []  # sizes of the batches of the steps

    def outputs(self, row, beginning):
        generator = np.random.default_rng([self.seed, row, *beginning])
        logits = generator.normal(scale=self.spread, size=self.vocabulary_size)
        return logits.astype("float32"), generator.random(SOURCE_TIME, "float32")

    def states(self, max_length):
        rows = np.arange(ROWS, dtype="int32")
        beginnings = np.zeros((ROWS, max_length), "int32")
        return [
            self.convert(rows),
            {"beginnings": self.convert(beginnings)},
            self.convert(0 * rows),
        ]

    def step(self, tokens, states):
        assert tokens.dtype == "int32"
        self.batches.append(len(tokens))
        rows, beginnings, lengths = map(
            ops.convert_to_numpy, (states[0], states[1]["beginnings"], states[2])
        )
        beginnings = beginnings.copy()
        beginnings[np.arange(len(tokens)), lengths] = tokens
        lengths = lengths + 1
        outputs = [
            self.outputs(row, beginning[:length])
            for row, beginning, length in zip(rows, beginnings, lengths, strict=True)
        ]
        logits, alignments = (np.stack(each) for each in zip(*outputs, strict=True))
        states = [states[0], {"beginnings": self.convert(beginnings)}, self.convert(lengths)]
        return self.convert(logits), states, self.convert(alignments)

    def search(self, max_length, **arguments):
        return search(
            self.step, self.states(max_length), ROWS, self.start, self.stop, max_length,
            never=self.never, **arguments,
        )  # fmt: skip


class Whole:
    """A model as ``Toy`` is one: it sees all of the beginning, padded, each time."""

    start, stop, never = 3, 2, (0,)

    def __init__(self, model, sources, max_length):
        layer = "decoder" if model.name == "seq2seq_bahdanau" else "attention"
        alignment = model.get_layer(layer).output[-1]
        self.model = keras.Model(model.inputs, [model.output, alignment])
        self.vocabulary_size = model.output_shape[-1]
        self.sources, self.max_length, self.known = sources, max_length, {}

    def outputs(self, row, beginning):
        key = (row, *beginning)
        if key not in self.known:
            target = np.zeros((1, self.max_length), "int32")
            target[0, : len(beginning)] = beginning
            outputs = self.model.predict_on_batch([self.sources[row : row + 1], target])
            self.known[key] = [each[0, len(beginning) - 1] for each in outputs]
        return self.known[key]


def plain_search(decoder, row, max_length, beam_width=1, length_penalty=0.0):
    """(tokens, score, alignment) of one row, by lists of (log probability, tokens, alignment)."""
    beam, ended = [(0.0, [], [])], []
    for length in range(1, max_length + 1):
        longer = []
        for log_probability, tokens, alignment in beam:
            logits, weights = decoder.outputs(row, [decoder.start, *tokens])
            for token, each in enumerate(log_softmax(logits)):
                if token not in decoder.never:
                    longer.append((log_probability + each, [*tokens, token], [*alignment, weights]))
        longer.sort(key=lambda each: -each[0])
        beam = []
        for log_probability, tokens, alignment in longer[: beam_width - len(ended)]:
            if tokens[-1] == decoder.stop:
                ended.append((log_probability, length, tokens[:-1], alignment[:-1]))
            else:
                beam.append((log_probability, tokens, alignment))
    ended += [(log_probability, max_length, *rest) for log_probability, *rest in beam]
    scores = [each[0] / ((5 + each[1]) / 6) ** length_penalty for each in ended]
    best = int(np.argmax(scores))
    return ended[best][2], scores[best], ended[best][3]


def best_of_all(decoder, row, max_length, length_penalty=0.0):
    """(tokens, score) of the best sequence there is."""
    tokens = [each for each in range(decoder.vocabulary_size) if each not in decoder.never]
    others = [each for each in tokens if each != decoder.stop]
    found = []
    for length in range(1, max_length + 1):
        last = tokens if length == max_length else [decoder.stop]
        for sequence in itertools.product(*[others] * (length - 1), last):
            steps = [
                log_softmax(decoder.outputs(row, [decoder.start, *sequence[:index]])[0])[token]
                for index, token in enumerate(sequence)
            ]
            score = sum(steps) / ((5 + length) / 6) ** length_penalty
            found.append((score, [each for each in sequence if each != decoder.stop]))
    score, sequence = max(found)
    return sequence, score


def check(decoded, row, tokens, score, alignment=None, tolerance=1e-6):
    length, max_length = len(tokens), decoded.tokens.shape[1]
    assert decoded.tokens[row].tolist() == tokens + [0] * (max_length - length)
    assert decoded.lengths[row] == length
    np.testing.assert_allclose(decoded.scores[row], score, rtol=tolerance, atol=tolerance)
    if alignment is not None:
        assert not decoded.alignments[row, length:].any()
        if alignment:
            ours = decoded.alignments[row, :length, : len(alignment[0])]
            np.testing.assert_allclose(ours, alignment, rtol=0, atol=tolerance)


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 3.0])
@pytest.mark.parametrize("beam_width", [1, 2, 3, 7])
def test_search_is_a_plain_search(beam_width, length_penalty):
    lengths = []
    for seed in range(15):
        toy = Toy(seed)
        arguments = {"beam_width": beam_width, "length_penalty": length_penalty}
        decoded = toy.search(5, **arguments)
        assert decoded.alignments.shape == (ROWS, 5, SOURCE_TIME)
        assert set(toy.batches) == {ROWS * beam_width}
        for row in range(ROWS):
            check(decoded, row, *plain_search(toy, row, 5, **arguments))
        lengths.extend(decoded.lengths)
    assert len(set(lengths)) > 3  # of all kinds


@pytest.mark.parametrize("length_penalty", [0.0, 2.0])
def test_a_wide_beam_finds_the_best_of_all_and_a_narrow_one_does_not(length_penalty):
    different = 0
    for seed in range(8):
        toy = Toy(seed, vocabulary_size=4, spread=0.7)
        wide = toy.search(4, beam_width=40, length_penalty=length_penalty)
        narrow = toy.search(4, beam_width=1, length_penalty=length_penalty)
        for row in range(ROWS):
            check(wide, row, *best_of_all(toy, row, 4, length_penalty))
        assert (narrow.scores <= wide.scores).all()
        different += (narrow.tokens != wide.tokens).any()
    assert different


def test_greedy_search_takes_the_most_probable_token_whatever_the_length_penalty():
    for seed, length_penalty in itertools.product(range(8), (0.0, 5.0)):
        toy = Toy(seed)
        decoded = toy.search(6, length_penalty=length_penalty)
        for row in range(ROWS):
            tokens = []
            while len(tokens) < 6:
                logits, _ = toy.outputs(row, [toy.start, *tokens])
                token = 1 + int(np.argmax(logits[1:]))
                if token == toy.stop:
                    break
                tokens.append(token)
            assert decoded.tokens[row, : len(tokens)].tolist() == tokens
            assert decoded.lengths[row] == len(tokens)


def test_states_of_the_backend_do_as_well():
    expected = Toy(1).search(5, beam_width=3)
    for ours, theirs in zip(Toy(1, tensors=True).search(5, beam_width=3), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_decoder_without_alignment():
    toy = Toy()
    with_alignment = toy.search(5, beam_width=3)
    step = toy.step
    toy.step = lambda *arguments: (*step(*arguments)[:2], None)
    decoded = toy.search(5, beam_width=3)
    assert decoded.alignments is None
    for ours, theirs in zip(decoded[:3], with_alignment[:3], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_it_stops_when_no_row_can_get_better():
    toy = Toy()
    toy.outputs = lambda row, beginning: (np.array([0, 0, 9.0, 0]), np.zeros(SOURCE_TIME))
    decoded = toy.search(50, beam_width=2)
    assert decoded.lengths.tolist() == [0, 0, 0]
    assert len(toy.batches) == 1


def test_of_equal_ones_the_first_token_is_taken():
    toy = Toy(vocabulary_size=6)

    def outputs(row, beginning):
        logits = np.zeros(6)
        if len(beginning) == 1:
            logits[[4, 5]] = 9
        elif len(beginning) == 2:
            logits[[1, 3]] = 9
        else:
            logits[2] = 9
        return logits, np.zeros(SOURCE_TIME)

    toy.outputs = outputs
    for beam_width in (1, 2, 3):
        decoded = toy.search(5, beam_width=beam_width)
        assert decoded.tokens[:, :3].tolist() == [[4, 1, 0]] * ROWS


def test_no_token_is_left_out_by_default():
    toy = Toy(vocabulary_size=3)
    toy.never = ()
    toy.outputs = lambda row, beginning: (
        np.array([9.0, 0, 0]) if len(beginning) < 3 else np.array([0, 0, 9.0]),
        np.zeros(SOURCE_TIME),
    )
    decoded = toy.search(5)
    assert decoded.lengths.tolist() == [2] * ROWS
    assert not decoded.tokens.any()


def test_large_logits_do_not_overflow():
    toy = Toy(vocabulary_size=4)
    toy.outputs = lambda row, beginning: (np.array([0, 2e3, 1e3, 1e3]), np.zeros(SOURCE_TIME))
    decoded = toy.search(3)
    assert decoded.tokens.tolist() == [[1, 1, 1]] * ROWS
    assert not decoded.scores.any()


def test_nan_is_named():
    toy = Toy()
    toy.outputs = lambda row, beginning: (np.array([0, np.nan, 0]), np.zeros(SOURCE_TIME))
    with pytest.raises(ValueError, match="logits that are NaN"):
        toy.search(5)


SIZES = {"source_vocabulary_size": 8, "embedding_width": 4, "width": 6}
BUILD = {
    "seq2seq_bahdanau": lambda **sizes: seq2seq_bahdanau(
        **SIZES, **sizes, attention_width=5, readout_width=4, dropout_rate=0.5
    ),
    "seq2seq_luong": lambda **sizes: seq2seq_luong(**SIZES, **sizes, depth=2, dropout_rate=0.5),
}
SOURCES = np.array([[3, 1, 6, 2, 5], [4, 7, 0, 0, 0], [2, 0, 0, 0, 0]])
START, STOP, MAX_LENGTH = 3, 2, 5
# Whose results are of several lengths, and others for another beam.
SEEDS = {"seq2seq_bahdanau": (1, 3, 4), "seq2seq_luong": (1, 2, 5)}

every_model = pytest.mark.parametrize("name", BUILD)


def make(name, seed=1, target_vocabulary_size=6):
    model = BUILD[name](target_vocabulary_size=target_vocabulary_size)
    randomize(model, seed)
    return model


def randomize(model, seed):
    generator = np.random.default_rng([seed, 1])
    for variable in model.weights:
        variable.assign(generator.normal(scale=1.5, size=variable.shape))


@every_model
def test_decode_is_a_plain_search_over_the_whole_model(name):
    model, lengths, found = make(name), set(), set()
    whole = Whole(model, SOURCES, MAX_LENGTH)
    for seed in SEEDS[name]:
        randomize(model, seed)
        whole.known.clear()
        for arguments in (
            {}, {"beam_width": 2}, {"beam_width": 4, "length_penalty": 1.5},
        ):  # fmt: skip
            decoded = decode(model, SOURCES, START, STOP, MAX_LENGTH, **arguments)
            assert decoded.tokens.shape == (3, MAX_LENGTH)
            assert decoded.alignments.shape == (3, MAX_LENGTH, 5)
            for row in range(3):
                expected = plain_search(whole, row, MAX_LENGTH, **arguments)
                check(decoded, row, *expected, tolerance=1e-5)
            assert not decoded.alignments[np.broadcast_to(
                (SOURCES == 0)[:, None], decoded.alignments.shape
            )].any()  # fmt: skip
            lengths.update(decoded.lengths.tolist())
            found.add(decoded.tokens.tobytes())
    assert lengths == {0, 1, 3, 5} | ({2} if name == "seq2seq_luong" else set())
    assert len(found) > 4


@every_model
def test_decode_finds_the_best_of_all_where_its_beam_holds_all(name):
    model = make(name, target_vocabulary_size=4)
    whole = Whole(model, SOURCES, max_length=2)
    for seed in range(3):
        randomize(model, seed)
        whole.known.clear()
        decoded = decode(model, SOURCES, START, STOP, max_length=2, beam_width=4)
        for row in range(3):
            check(decoded, row, *best_of_all(whole, row, 2), tolerance=1e-5)


@every_model
def test_rows_give_what_they_give_alone(name):
    model = make(name)
    arguments = {"beam_width": 3, "length_penalty": 0.6}
    decoded = decode(model, SOURCES, START, STOP, MAX_LENGTH, **arguments)
    for row, source in enumerate(SOURCES):
        source = source[source != 0][None]
        alone = decode(model, source, START, STOP, MAX_LENGTH, **arguments)
        check(
            decoded, row, alone.tokens[0, : alone.lengths[0]].tolist(), alone.scores[0],
            list(alone.alignments[0, : alone.lengths[0]]), tolerance=1e-5,
        )  # fmt: skip


@every_model
def test_the_source_is_encoded_once_and_each_step_sees_one_token(name, monkeypatch):
    seen, predict = [], keras.Model.predict_on_batch

    def recording(model, inputs):
        first = inputs[0] if isinstance(inputs, list) else inputs
        seen.append(np.shape(first))
        return predict(model, inputs)

    monkeypatch.setattr(keras.Model, "predict_on_batch", recording)
    model = make(name)
    model.get_layer("output").bias.assign([0, 0, -99, 0, 0, 0])  # no stop
    decode(model, SOURCES, START, STOP, MAX_LENGTH, beam_width=2)
    assert seen == [SOURCES.shape] + [(2 * len(SOURCES), 1)] * MAX_LENGTH


@every_model
def test_a_step_is_compiled_once(name, monkeypatch):
    layer = AttentiveDecoder if name == "seq2seq_bahdanau" else MultiplicativeAttention
    calls, call = [], layer.call

    def counting(self, *arguments, **options):
        calls.append(self)
        return call(self, *arguments, **options)

    model = make(name)
    model.get_layer("output").bias.assign([0, 0, -99, 0, 0, 0])
    decode(model, SOURCES, START, STOP, 1)  # builds
    networks = decoding._networks[model]
    monkeypatch.setattr(layer, "call", counting)
    decode(model, SOURCES, START, STOP, 20, beam_width=3)
    assert decoding._networks[model] is networks
    if keras.backend.backend() == "torch":
        assert len(calls) == 20
        return
    assert 1 <= len(calls) <= 2
    calls.clear()
    decode(model, SOURCES[::-1], START, STOP, 20, beam_width=3)
    assert not calls


@every_model
def test_weights_that_moved_are_used(name):
    model, other = make(name), make(name, seed=5)
    before = decode(model, SOURCES, START, STOP, MAX_LENGTH)
    model.set_weights(other.get_weights())
    after = decode(model, SOURCES, START, STOP, MAX_LENGTH)
    expected = decode(other, SOURCES, START, STOP, MAX_LENGTH)
    for ours, theirs in zip(after, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (after.scores != before.scores).all()


def test_a_model_that_was_decoded_with_can_be_freed():
    model = make("seq2seq_luong")
    decode(model, SOURCES, START, STOP, 2)
    reference = weakref.ref(model)
    assert reference() in decoding._networks
    del model
    gc.collect()
    assert reference() is None


DECODE = """
import sys
from pathlib import Path

import custom_layers
import keras
import numpy as np
from zoo.decoding import decode

for path in sorted(Path(sys.argv[1]).glob("*.keras")):
    decoded = decode(keras.models.load_model(path), np.load(sys.argv[2]), 3, 2, 5, beam_width=3)
    np.savez(path.with_suffix(".npz"), *decoded)
"""


@pytest.mark.any_backend
def test_saved_models_decode_the_same_in_a_fresh_process(tmp_path):
    expected = {}
    for name in BUILD:
        model = make(name)
        expected[name] = decode(model, SOURCES, 3, 2, 5, beam_width=3)
        model.save(tmp_path / f"{name}.keras")  # after it was decoded with
    np.save(tmp_path / "sources.npy", SOURCES)
    process = subprocess.run(
        [sys.executable, "-c", DECODE, str(tmp_path), str(tmp_path / "sources.npy")],
        env={
            **os.environ,
            "KERAS_BACKEND": keras.backend.backend(),
            "PYTHONPATH": str(Path(zoo.__file__).parents[1]),
        },
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    for name, decoded in expected.items():
        there = np.load(tmp_path / f"{name}.npz")
        for ours, theirs in zip(decoded, there.values(), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)


# The same on every backend, as PyTorch computes them.
TOKENS = {
    "seq2seq_bahdanau": [[5, 5, 5], [1, 4, 4, 4, 4], [3, 3, 3, 3, 3]],
    "seq2seq_luong": [[4, 4], [4, 4, 4], [4, 4, 4, 5, 4]],
}


@every_model
def test_every_backend_decodes_the_same(name):
    decoded = decode(make(name), SOURCES, START, STOP, MAX_LENGTH, beam_width=3)
    found = [row[row != 0].tolist() for row in decoded.tokens]
    assert found == TOKENS[name]


@every_model
def test_mixed_precision(name):
    before = keras.config.dtype_policy()
    for policy in ("mixed_bfloat16", "mixed_float16"):
        keras.config.set_dtype_policy(policy)
        try:
            model = make(name)
        finally:
            keras.config.set_dtype_policy(before)
        decoded = decode(model, SOURCES, START, STOP, MAX_LENGTH, beam_width=2)
        assert np.isfinite(decoded.scores).all()
        assert decoded.alignments.dtype == "float32"
        np.testing.assert_allclose(
            decoded.alignments.sum(axis=-1)[decoded.tokens != 0], 1, atol=0.02
        )


GOOD = {"sources": SOURCES, "start": 3, "stop": 2, "max_length": 4}
BAD = {
    "start 0": ({"start": 0}, "start must be an integer of 1 to 5 .*, got 0"),
    "start 6": ({"start": 6}, "start must be an integer of 1 to 5 .*, got 6"),
    "stop 0": ({"stop": 0}, "stop must be an integer of 1 to 5 .*, got 0"),
    "stop -1": ({"stop": -1}, "stop must be an integer of 1 to 5 .*, got -1"),
    "stop 2.0": ({"stop": 2.0}, "stop must be an integer of 1 to 5 .*, got 2.0"),
    "max_length 0": ({"max_length": 0}, "max_length must be an integer of 1 or more, got 0"),
    "max_length None": ({"max_length": None}, "max_length .* 1 or more, got None"),
    "max_length True": ({"max_length": True}, "max_length .* 1 or more, got True"),
    "beam_width 0": ({"beam_width": 0}, "beam_width must be an integer of 1 to 6 .*, got 0"),
    "beam_width 7": ({"beam_width": 7}, "beam_width must be an integer of 1 to 6 .*, got 7"),
    "length_penalty -1": ({"length_penalty": -1}, "length_penalty .* 0 to 10, got -1"),
    "length_penalty text": ({"length_penalty": "1"}, "length_penalty .* 0 to 10, got '1'"),
    "length_penalty nan": ({"length_penalty": np.nan}, "length_penalty .* 0 to 10, got nan"),
    "token 8": ({"sources": [[1, 2], [8, 1]]}, "integers .* of 0 to 7, .* got 8 in row 1"),
    "token -1": ({"sources": [[1, -1]]}, "integers .* of 0 to 7, .* got -1 in row 0"),
    "floats": ({"sources": [[1.0]]}, "sources must be integers .*, got float64 of shape"),
    "one source": ({"sources": [1, 2]}, r"sources must be .*\(B, S\).*, got int64 of shape \(2,\)"),
    "no source": ({"sources": np.zeros((0, 3), int)}, r"got int64 of shape \(0, 3\)"),
    "text": ({"sources": [["a"]]}, "sources must be integers .*, got <U1 of shape"),
    "ragged": ({"sources": [[1, 2], [1]]}, "sources must be .* got rows of several lengths"),
    "empty source": ({"sources": [[1, 2], [0, 0]]}, "got no token in row 1: leave it out"),
    "empty sources": ({"sources": np.zeros((2, 0), int)}, "got no token in row 0: leave it out"),
}


@pytest.fixture(scope="module")
def model():
    return make("seq2seq_luong")


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_named(case, model):
    arguments, message = BAD[case]
    with pytest.raises(ValueError, match=message) as caught:
        decode(model, **{**GOOD, **arguments})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("other", [None, "seq2seq_luong", keras.Sequential(name="lenet5")])
def test_other_models_are_named(other):
    with pytest.raises(ValueError, match="seq2seq_bahdanau or seq2seq_luong, got") as caught:
        decode(other, **GOOD)
    assert repr(getattr(other, "name", other)) in str(caught.value)


def test_sources_may_be_tensors(model):
    expected = decode(model, **GOOD)
    decoded = decode(model, **{**GOOD, "sources": ops.convert_to_tensor(SOURCES, "int32")})
    np.testing.assert_array_equal(decoded.tokens, expected.tokens)
