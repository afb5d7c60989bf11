"""A GPT against pairs of characters."""

import json

import keras
import numpy as np
import pytest

import zoo
from recipes import __main__ as command_line
from recipes import gpt_characters
from recipes.data import characters
from recipes.gpt_characters import bigram_loss, in_contexts, wrapped, write
from recipes.training import plots
from recipes.training.saved_run import read_run
from zoo.decoding import Decoded

TINY = ["--context", "16", "--width", "32", "--depth", "1", "--num-heads", "2"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the recipe and returns (its folder, what it is over)."""
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())

    def call(*words):
        words = ["run", "gpt_characters", *map(str, words), "--runs", str(tmp_path)]
        assert command_line.main(words) == 0
        (folder,) = (tmp_path / "gpt_characters").iterdir()
        return folder, read_run(folder)

    return call


def test_contexts_lie_side_by_side():
    inputs, targets = in_contexts(np.arange(10), 3)
    np.testing.assert_array_equal(inputs, [[0, 1, 2], [3, 4, 5], [6, 7, 8]])
    np.testing.assert_array_equal(targets, [[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    inputs, targets = in_contexts(np.arange(9), 3)  # the last one lacks what follows
    assert len(inputs) == len(targets) == 2


def test_the_bigram_loss_by_hand():
    # Of 0 1 0 0 1: after 0 comes 1 twice and 0 once, after 1 comes 0; each pair counts once more.
    train, tokens = np.array([0, 1, 0, 0, 1]), np.array([1, 0, 1, 1])
    expected = -np.mean(np.log([2 / 3, 3 / 5, 1 / 3]))
    assert bigram_loss(train, tokens, 2) == pytest.approx(expected)


@pytest.mark.parametrize("length", [1, 4, 5, 23])
def test_a_text_goes_on_beyond_the_context(length, monkeypatch):
    """Each part follows from what the model can still see, and is as long as it can be."""
    context, asked = 8, []

    def generate(model, prompts, max_length, temperature, seed):
        asked.append((prompts.shape[1], max_length))
        assert prompts.shape[1] + max_length - 1 <= context and temperature == 0.7
        assert seed == 5 + len(asked)
        tokens = prompts[:, -1:] + 1 + np.arange(max_length)
        return Decoded(tokens, None, None, None)

    monkeypatch.setattr(zoo, "generate", generate)
    prompts = np.array([[1, 2, 3, 4], [11, 12, 13, 14]])
    texts = write(None, prompts, length, context, 0.7, seed=5)
    expected = np.arange(5, 5 + length)
    np.testing.assert_array_equal(texts, [expected, expected + 10])
    assert asked[0] == (4, min(5, length))
    assert len(asked) == 1 + max(0, -(-(length - 5) // 4))  # half of the context each


def test_lines_are_wrapped():
    long = "word " * 30
    assert wrapped(f"one\n\n{long}") == ["one", "", ("word " * 15)[:-1], ("word " * 15)[:-1]]


def test_a_short_run_is_better_than_pairs_of_characters(run, monkeypatch):
    shown = []
    texts, parts_of_texts = plots.texts, []
    monkeypatch.setattr(plots, "texts", lambda rows: shown.extend(rows) or texts(rows))

    def recording(model, prompts, *arguments):
        written = write(model, prompts, *arguments)
        parts_of_texts.extend([prompts, written])
        return written

    monkeypatch.setattr(gpt_characters, "write", recording)
    folder, over = run(
        "--data", "embedded", "--epochs", "2", "--steps", "150", "--learning-rate", "0.01",
        "--batch-size", "24", "--characters", "40", "--temperature", "0.5", *TINY,
    )  # fmt: skip
    test = over.test
    assert test["test_loss"] < test["test_bigram_loss"] - 0.02
    assert test["test_perplexity"] == pytest.approx(np.exp(test["test_loss"]))

    parts = ["".join(part) for (part,) in characters.embedded()]
    alphabet = json.loads((folder / "vocabulary.json").read_text("utf-8"))["characters"]
    assert alphabet == sorted(set("".join(parts)))
    tokens = np.array([alphabet.index(character) for character in parts[2]])
    model = keras.models.load_model(folder / "model.keras")
    contexts = [tokens[start : start + 17] for start in range(0, len(tokens) - 16, 16)]
    contexts = np.stack(contexts)
    logits = model.predict(contexts[:, :-1], verbose=0).astype("float64")
    logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    losses = -np.take_along_axis(logits, contexts[:, 1:, None], axis=-1)
    assert test["test_loss"] == pytest.approx(losses.mean(), rel=1e-5)
    train = np.array([alphabet.index(character) for character in parts[0]])
    assert test["test_bigram_loss"] == pytest.approx(bigram_loss(train, tokens, len(alphabet)))

    # The picture shows how the model goes on with contexts from all of the test part.
    prompts, written = parts_of_texts
    assert prompts.shape == (4, 4) and written.shape == (4, 40)
    last = 4 * ((len(tokens) - 1) // 4) - 4
    np.testing.assert_array_equal(prompts[[0, 3]], [tokens[:4], tokens[last : last + 4]])
    lines = [line for ((line, _, _),) in shown]
    whole = ["".join(alphabet[token] for token in row) for row in np.hstack(parts_of_texts)]
    assert "".join("".join(lines).split()) == "".join("".join(whole).split())


def test_a_file_of_ones_own_is_learnt(run, tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("abcdé fgh\n" * 200, "utf-8")
    words = ["--epochs", "1", "--steps", "60", "--learning-rate", "0.03", "--characters", "30"]
    _, over = run("--data-path", path, *words, *TINY, "--temperature", "0.1")
    assert over.description["data"]["description"].startswith("own.txt: 1,600 for training, 200 ")
    assert over.test["test_loss"] < 0.3  # the first characters of a context may be any


def test_optimizer_and_schedule(run, monkeypatch):
    """A learning rate that grows and falls, and a decay of matrices alone."""
    made = []
    step = gpt_characters.gradient_step

    def gradient_step(compute_loss, model, optimizer):
        made.append((model, optimizer))
        return step(compute_loss, model, optimizer)

    monkeypatch.setattr(gpt_characters, "gradient_step", gradient_step)
    run("--data", "embedded", "--epochs", "2", "--steps", "10", *TINY)
    ((model, optimizer),) = made
    rates = [float(optimizer._learning_rate(count)) for count in (0, 1, 10, 20)]
    middle = 3e-3 * (0.1 + 0.9 * (1 + np.cos(np.pi * 9 / 19)) / 2)
    assert rates == pytest.approx([0, 3e-3, middle, 3e-4], rel=1e-2)
    decayed = {each.path for each in model.trainable_variables if optimizer._use_weight_decay(each)}
    assert decayed == {each.path for each in model.trainable_variables if len(each.shape) == 2}


def test_dropout_is_in_training(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())
    first = []
    for rate in ("0", "0.5"):
        words = ["run", "gpt_characters", "--data", "embedded", "--epochs", "1", "--steps", "1"]
        words += [*TINY, "--characters", "4", "--dropout-rate", rate]
        assert command_line.main([*words, "--runs", str(tmp_path / rate)]) == 0
        (folder,) = (tmp_path / rate / "gpt_characters").iterdir()
        first.append(read_run(folder).steps[0]["loss"])
    assert abs(first[0] - first[1]) > 1e-3


def test_a_context_that_is_longer_than_a_part(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())
    (tmp_path / "own.txt").write_text("ab" * 500)
    words = ["run", "gpt_characters", "--data-path", str(tmp_path / "own.txt"), "--context", "100"]
    assert command_line.main([*words, "--runs", str(tmp_path / "runs")]) == 2
    told = "error: --context 100 is too long for a part of 100 characters: give less\n"
    assert capsys.readouterr().err == told
    assert list((tmp_path / "runs").glob("*/*")) == []
