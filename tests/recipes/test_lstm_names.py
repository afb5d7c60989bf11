"""An LSTM against pairs of characters."""

import re
from collections import Counter
from itertools import pairwise

import keras
import numpy as np
import pytest

from recipes import __main__ as command_line
from recipes import lstm_names
from recipes.data import names
from recipes.data.batches import cut_validation
from recipes.lstm_names import bigram_loss, encode, sample
from recipes.training import plots
from recipes.training.run import VALIDATION_FRACTION
from recipes.training.saved_run import read_run


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the recipe and returns (its folder, what it is over)."""
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())

    def call(*words):
        words = ["run", "lstm_names", *map(str, words), "--runs", str(tmp_path)]
        assert command_line.main(words) == 0
        (folder,) = (tmp_path / "lstm_names").iterdir()
        return folder, read_run(folder)

    return call


def test_texts_as_tokens():
    inputs, targets, weights = encode(["ab", "", "cab"], "abc", length=4)
    np.testing.assert_array_equal(inputs, [[0, 1, 2, 0], [0, 0, 0, 0], [0, 3, 1, 2]])
    np.testing.assert_array_equal(targets, [[1, 2, 0, 0], [0, 0, 0, 0], [3, 1, 2, 0]])
    np.testing.assert_array_equal(weights, [[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]])
    assert inputs.dtype == targets.dtype == "int32" and weights.dtype == "float32"


def test_the_bigram_loss_by_hand():
    train = encode(["ab", "aa"], "ab", length=5)
    # Pairs of training: ^a ab b$ and ^a aa a$; each of the nine pairs counts once more.
    log = np.log
    expected = {
        "a": -(log(3 / 5) + log(2 / 6)) / 2,  # ^a a$
        "ba": -(log(1 / 5) + log(1 / 4) + log(2 / 6)) / 3,  # ^b ba a$
    }
    for text, loss in expected.items():
        assert bigram_loss(train, encode([text], "ab", 5), num_tokens=3) == pytest.approx(loss)
    both = bigram_loss(train, encode(["a", "ba"], "ab", 3), num_tokens=3)
    assert both == pytest.approx((2 * expected["a"] + 3 * expected["ba"]) / 5)  # a character


class Known:
    """A model that gives the probabilities of a table, (T, V), whatever it is asked."""

    def __init__(self, *table):
        self.table, self.asked = np.log(np.array(table) + 1e-30), []

    def predict(self, tokens, verbose):
        self.asked.append(tokens.copy())
        return np.broadcast_to(self.table, (len(tokens), *self.table.shape)).astype("float32")


def draw(model, monkeypatch, count=4000, temperature=1.0, seed=0, alphabet="ab"):
    monkeypatch.setattr(lstm_names, "SAMPLES", count)
    generator = np.random.default_rng(seed)
    return sample(model, alphabet, len(model.table), temperature, generator)


def shares(texts, *expected):
    return [texts.count(text) / len(texts) for text in expected]


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_characters_are_drawn_by_the_probabilities_of_the_model(temperature, monkeypatch):
    first, second = np.array([0.2, 0.5, 0.3]), np.array([0.6, 0.1, 0.3])
    model = Known(first, second, [1, 0, 0])
    texts = draw(model, monkeypatch, temperature=temperature)
    first, second = (each ** (1 / temperature) for each in (first, second))
    first, second = first / first.sum(), second / second.sum()
    expected = [first[0], *(first[one] * share for one in (1, 2) for share in second)]
    found = shares(texts, "", "a", "aa", "ab", "b", "ba", "bb")
    np.testing.assert_allclose(found, expected, atol=0.03)
    assert sum(found) == pytest.approx(1)


def test_a_character_that_was_drawn_is_what_the_model_sees_next(monkeypatch):
    model = Known([0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 0])
    assert draw(model, monkeypatch, count=2, alphabet="abc") == ["acba"] * 2
    assert [asked.shape for asked in model.asked] == [(2, 4)] * 4  # compiled once
    assert [asked[0].tolist() for asked in model.asked] == [
        [0, 0, 0, 0], [0, 1, 0, 0], [0, 1, 3, 0], [0, 1, 3, 2],
    ]  # fmt: skip
    ended = Known([0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0])
    assert draw(ended, monkeypatch, count=2, alphabet="abc") == ["a"] * 2


def test_the_seed_decides_the_names(monkeypatch):
    model = Known([0.1, 0.5, 0.4], [0.1, 0.5, 0.4], [0.1, 0.5, 0.4])
    first, again, other = (draw(model, monkeypatch, count=50, seed=seed) for seed in (0, 0, 1))
    assert first == again != other


def test_a_short_run_is_better_than_pairs_of_characters(run, monkeypatch):
    shown = []
    texts = plots.texts
    monkeypatch.setattr(plots, "texts", lambda rows: shown.extend(rows) or texts(rows))
    folder, over = run("--epochs", "8", "--batch-size", "24", "--learning-rate", "1e-2",
                       "--temperature", "0.8", "--seed", "1")  # fmt: skip
    test = over.test
    assert test["test_loss"] < test["test_bigram_loss"] - 0.1
    assert test["test_perplexity"] == pytest.approx(np.exp(test["test_loss"]))

    # All figures are a character's, of all names of the test part, their ends included.
    (train,), (held_out,) = names.embedded()
    alphabet = sorted(set("".join([*train, *held_out])))
    model = keras.models.load_model(folder / "model.keras")
    assert model.output_shape == (None, None, len(alphabet) + 1)
    losses = []
    for name in held_out:
        tokens = [0, *(1 + alphabet.index(character) for character in name), 0]
        logits = model.predict(np.array([tokens[:-1] + [0] * (27 - len(name))]), verbose=0)[0]
        for row, token in zip(logits.astype("float64"), tokens[1:], strict=False):
            losses.append(np.log(np.exp(row).sum()) - row[token])
    assert len(losses) == sum(len(name) + 1 for name in held_out)
    assert test["test_loss"] == pytest.approx(np.mean(losses), rel=1e-4)

    # The baseline counts the names that the run was trained on.
    (trained,), _ = cut_validation(names.embedded()[0], VALIDATION_FRACTION, seed=1)
    pairs = Counter(pair for name in trained for pair in pairwise(f".{name}."))
    firsts = Counter(pair[0] for pair in pairs.elements())
    losses = [
        np.log((firsts[pair[0]] + len(alphabet) + 1) / (pairs[pair] + 1))
        for name in held_out
        for pair in pairwise(f".{name}.")
    ]
    assert test["test_bigram_loss"] == pytest.approx(np.mean(losses))

    # The picture says of each name whether it was in training.
    cells = [cell for row in shown for cell in row]
    drawn = sample(model, alphabet, 27, 0.8, np.random.default_rng(1))
    assert [text for text, _, _ in cells] == drawn and len(drawn) == lstm_names.SAMPLES
    assert test["test_share_of_new"] == np.mean([new for _, _, new in cells])
    for text, note, new in cells:
        assert note == ("new" if new else "known")
        assert re.fullmatch("[a-z '/]{0,27}", text)
    for text, _, new in cells:
        assert new == (text not in trained)


def test_a_file_of_ones_own_is_learnt(run, tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("\n".join(f"{one}é{two}" for one in "klmnp" for two in "abcdef"), "utf-8")
    words = ["--data-path", path, "--epochs", "2", "--batch-size", "8", "--depth", "2"]
    folder, over = run(*words, "--width", "16")
    assert over.description["data"]["description"].startswith("own.txt: 27 for training and ")
    model = keras.models.load_model(folder / "model.keras")
    assert model.output_shape == (None, None, 1 + len("klmnpéabcdef"))
    assert {"layer1", "layer2"} <= {layer.name for layer in model.layers}
    assert over.test["test_loss"] < np.log(13)


def test_what_pads_a_name_changes_no_loss(tmp_path, monkeypatch):
    """A longer name in the test part makes all rows longer, and no training step other."""
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())
    losses = []
    for longest in (4, 20):
        lines = [*(a + b + c for a in "klm" for b in "aeo" for c in "klm"), "k" * 3]
        lines[9] = "k" * longest
        path = tmp_path / f"{longest}.txt"
        path.write_text("\n".join(lines), "utf-8")
        runs = tmp_path / str(longest)
        words = ["--data-path", path, "--epochs", "1", "--batch-size", "8", "--width", "8"]
        assert (
            command_line.main(
                ["run", "lstm_names", *map(str, words), "--dropout-rate", "0", "--runs", str(runs)]
            )
            == 0
        )
        (folder,) = (runs / "lstm_names").iterdir()
        over = read_run(folder)
        losses.append([row["loss"] for row in over.steps] + [over.epochs[0]["validation_loss"]])
    np.testing.assert_allclose(*losses, rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "told"),
    [("anna\nberta\n", "it has 2 names"), ("a " * 40 + "\nb", "line 1 has 79 characters")],
)
def test_what_is_wrong_in_a_file_is_said_in_one_line(text, told, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())
    (tmp_path / "own.txt").write_text(text, "utf-8")
    runs = tmp_path / "runs"
    words = ["run", "lstm_names", "--data-path", str(tmp_path / "own.txt"), "--runs", str(runs)]
    assert command_line.main(words) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: cannot read --data-path ") and "\n" not in error
    assert told in error
    assert list(runs.glob("*/*")) == []
