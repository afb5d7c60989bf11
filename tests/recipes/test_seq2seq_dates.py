"""Dates that a network writes, and what the recipe says of them."""

import json

import keras
import numpy as np
import pytest

from recipes import __main__ as command_line
from recipes import seq2seq_dates
from recipes.data import dates
from recipes.training import plots
from recipes.training.saved_run import read_run
from tests.recipes.spies import spied_steps

LENGTH = 11  # of a date and its end


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(A short run, the batches of its steps, what its pictures were drawn from)."""
    runs, drawn = tmp_path_factory.mktemp("runs"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", keras.backend.backend())
        batches = spied_steps(patch, seq2seq_dates)
        for name in ("alignments", "texts"):
            draw = getattr(plots, name)

            def spied(given, name=name, draw=draw):
                drawn[name] = given
                return draw(given)

            patch.setattr(plots, name, spied)
        words = ["run", "seq2seq_dates", "--epochs", "1", "--batch-size", "50", "--seed", "1"]
        assert command_line.main([*words, "--runs", str(runs)]) == 0
    (folder,) = (runs / "seq2seq_dates").iterdir()
    return read_run(folder), batches, drawn


@pytest.fixture(scope="module")
def vocabularies(trained):
    return json.loads((trained[0].folder / "vocabulary.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def answers(trained, vocabularies):
    """(What the saved model writes of the test part, a character after the other; its loss)."""
    model = keras.models.load_model(trained[0].folder / "model.keras")
    characters, digits = vocabularies["texts"], vocabularies["dates"]
    texts, true = dates.embedded()[2]
    sources = np.zeros((len(texts), max(map(len, texts))), "int32")
    for row, text in zip(sources, texts, strict=True):
        row[: len(text)] = [characters.index(character) for character in text]
    labels = np.array([[*map(digits.index, date), digits.index("<stop>")] for date in true])
    start = np.full((len(texts), 1), digits.index("<start>"))

    def log_probabilities(targets):
        logits = model.predict([sources, targets], batch_size=500, verbose=0).astype("float64")
        return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))

    targets = np.concatenate([start, np.zeros((len(texts), LENGTH - 1))], axis=1).astype("int32")
    for place in range(LENGTH):
        chosen = log_probabilities(targets)[:, place, 1:].argmax(axis=-1) + 1
        if place < LENGTH - 1:
            targets[:, place + 1] = chosen
    written = ["".join(digits[token] for token in row[1:]) for row in targets]
    stops = chosen == digits.index("<stop>")
    truth = np.concatenate([start, labels[:, :-1]], axis=1).astype("int32")
    loss = -np.take_along_axis(log_probabilities(truth), labels[..., None], axis=-1).mean()
    return np.array(written), stops, loss


def test_figures_are_those_of_the_saved_model(trained, answers):
    written, stops, loss = answers
    run, _, _ = trained
    exact_match = np.mean((written == dates.embedded()[2][1]) & stops)
    assert run.test["test_exact_match"] == pytest.approx(exact_match, abs=1e-9)
    assert run.test["test_loss"] == pytest.approx(loss, rel=1e-3)
    # Of new days, it learned to write most.
    assert exact_match > 0.5
    assert run.epochs[-1]["validation_exact_match"] == pytest.approx(exact_match, abs=0.1)
    assert run.epochs[-1]["validation_loss"] == pytest.approx(loss, rel=0.3)


def test_pictures_show_what_was_written(trained, answers):
    written, stops, _ = answers
    texts, true = dates.embedded()[2]
    _, _, drawn = trained
    rows = [row for (row,) in drawn["texts"]]
    assert len(rows) == 12
    assert [right for _, _, right in rows] == sorted(right for _, _, right in rows)
    assert not rows[0][2]
    wrong = (written != true) & stops
    of_text = {text: index for index, text in enumerate(texts) if wrong[index]}
    shown = 0
    for text, note, right in rows:
        if text in of_text:
            index = of_text[text]
            assert not right
            assert note == f"{written[index]}, true: {true[index]}"
            shown += 1
    assert shown >= 6

    assert len(drawn["alignments"]) == 4
    for index, (text, date, weights) in enumerate(drawn["alignments"]):
        assert text == texts[index]
        if stops[index]:
            assert date == written[index]
        # Every look is at the text, and not at the padding behind it.
        sums = weights[: len(date), : len(text)].sum(axis=-1)
        np.testing.assert_allclose(sums, 1, atol=1e-5)
        # The year is read where it stands.
        where = [text.index(date[:4]) + place for place in range(4)]
        assert weights[:4, where].sum(axis=-1).mean() > 0.5


def test_a_step_sees_a_text_its_date_and_what_comes_next(trained, vocabularies):
    _, batches, _ = trained
    characters, digits = vocabularies["texts"], vocabularies["dates"]
    texts, true = dates.embedded()[0]
    assert set(characters[2:]) == set("".join(texts)) and len(characters) == 48
    assert set(digits[2:]) == {*"0123456789-", "<start>", "<stop>"} and len(digits) == 15
    assert characters[0] == digits[0] == "<padding>"
    seen = {}
    for sources, targets, labels in batches:
        assert targets.shape == labels.shape == (50, LENGTH)
        assert sources.dtype == targets.dtype == labels.dtype == "int32"
        for source, target, label in zip(sources, targets, labels, strict=True):
            text = "".join(characters[token] for token in source if token)
            np.testing.assert_array_equal(source[len(text) :], 0)
            date = "".join(digits[token] for token in target[1:])
            assert digits[target[0]] == "<start>" and digits[label[-1]] == "<stop>"
            np.testing.assert_array_equal(target[1:], label[:-1])
            seen[text] = date
    assert seen == dict(zip(texts.tolist(), true.tolist(), strict=True))
