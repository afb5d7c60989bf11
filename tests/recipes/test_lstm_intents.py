"""Sentences that become tokens, an LSTM that reads their order, and its figures."""

import json

import keras
import numpy as np
import pytest

from recipes import lstm_intents
from recipes.data import intents
from recipes.data.vocabulary import PADDING, UNKNOWN
from recipes.training.evaluate import classify
from tests.recipes.spies import spied_run


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the recipe on the embedded data; returns (its run, the batches of its steps)."""
    return spied_run(monkeypatch, lstm_intents, tmp_path)


def saved_names(run):
    return json.loads((run.folder / "vocabulary.json").read_text("utf-8"))


def encoded(run, part, length):
    """A part in the tokens of a run, one word after the other."""
    names = saved_names(run)
    tokens = np.zeros((len(part[0]), length), "int32")
    for row, sentence in zip(tokens, part[0], strict=True):
        for place, word in enumerate(sentence.split()[:length]):
            row[place] = names["words"].index(word) if word in names["words"] else UNKNOWN
    return tokens, np.array([names["intents"].index(intent) for intent in part[1]])


def test_learns_and_reports_what_its_model_does(run):
    trained, _ = run("--epochs", "14", "--seed", "3")
    train, validation, test = intents.embedded()
    assert trained.test["test_accuracy"] > 0.95
    model = keras.models.load_model(trained.folder / "model.keras")
    for part, row, name in (
        (validation, trained.epochs[-1], "validation"), (test, trained.test, "test"),
    ):  # fmt: skip
        result = classify(model, encoded(trained, part, 13))
        assert row[f"{name}_accuracy"] == pytest.approx(result.accuracy, abs=1e-9)
        assert row[f"{name}_loss"] == pytest.approx(result.loss, rel=1e-4)

    # It reads the order: these two intents have the same words.
    of_savings = np.char.find(test[1], "savings") >= 0
    assert (result.predicted == result.labels)[of_savings].mean() > 0.9

    # The training part alone decides what words there are.
    names = saved_names(trained)
    words = {word for sentence in train[0] for word in sentence.split()}
    assert set(names["words"][2:]) == words
    assert len(names["words"]) == len(words) + 2
    assert names["intents"] == sorted(set(train[1]))


def test_words_are_dropped_in_training_alone_and_labels_are_theirs(run):
    words = ["--epochs", "1", "--batch-size", "300", "--width", "4", "--embedding-width", "4"]
    trained, batches = run(*words, "--word-dropout-rate", "0")
    train, _, _ = intents.embedded()
    tokens, labels = encoded(trained, train, 13)
    label_of = {row.tobytes(): label for row, label in zip(tokens, labels, strict=True)}
    assert len(label_of) == 1200
    whole = np.concatenate([batch[0] for batch in batches])
    assert whole.dtype == "int32" and len(whole) == 1200
    assert UNKNOWN not in whole
    assert {row.tobytes() for row in whole} == set(label_of)
    found = np.concatenate([batch[1] for batch in batches])
    assert found.dtype == "int32"
    np.testing.assert_array_equal(found, [label_of[row.tobytes()] for row in whole])

    batches.clear()
    run(*words, "--word-dropout-rate", "0.3")
    dropped = np.concatenate([batch[0] for batch in batches])
    np.testing.assert_array_equal(np.concatenate([batch[1] for batch in batches]), found)
    np.testing.assert_array_equal(dropped == PADDING, whole == PADDING)
    changed = dropped != whole
    assert np.all(dropped[changed] == UNKNOWN)
    assert changed[whole != PADDING].mean() == pytest.approx(0.3, abs=0.02)
    assert changed.any(axis=0)[0] and len(np.unique(changed, axis=0)) > 200


def test_the_first_words_are_read(run):
    words = ["--epochs", "1", "--batch-size", "600", "--width", "4", "--word-dropout-rate", "0"]
    trained, batches = run(*words, "--length", "5")
    train, _, test = intents.embedded()
    tokens, _ = encoded(trained, train, 5)
    whole = np.concatenate([batch[0] for batch in batches])
    assert sorted(whole.tolist()) == sorted(tokens.tolist())
    model = keras.models.load_model(trained.folder / "model.keras")
    result = classify(model, encoded(trained, test, 5))
    assert trained.test["test_loss"] == pytest.approx(result.loss, rel=1e-4)
