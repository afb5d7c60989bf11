"""Words that become tokens, an LSTM that reads both sides of each, and its figures."""

import json
from collections import Counter

import keras
import numpy as np
import pytest

from recipes import tagger
from recipes.data import part_of_speech
from recipes.data.vocabulary import PADDING, UNKNOWN
from recipes.tagger import ending, most_frequent_tags
from tests.recipes.spies import spied_run


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the recipe on the embedded data; returns (its run, the batches of its steps)."""
    return spied_run(monkeypatch, tagger, tmp_path)


def each_word(run, part):
    """(right, losses, new) of each word of a part, from the saved model, sentence by sentence."""
    words = json.loads((run.folder / "vocabulary.json").read_text("utf-8"))["words"]
    model = keras.models.load_model(run.folder / "model.keras")
    tokens = np.zeros((len(part[0]), 19), "int32")
    for row, sentence in zip(tokens, part[0], strict=True):
        for place, word in enumerate(sentence):
            known = [words.index(each) for each in (word, ending(word)) if each in words]
            row[place] = known[0] if known else UNKNOWN
    right, losses, new = [], [], []
    all_logits = model.predict(tokens, verbose=0).astype("float64")
    for logits, sentence, tags in zip(all_logits, *part, strict=True):
        logits = logits[: len(sentence)]
        right += (logits.argmax(axis=-1) == tags).tolist()
        losses += (np.log(np.exp(logits).sum(axis=-1)) - logits[range(len(tags)), tags]).tolist()
        new += [word not in words for word in sentence]
    return np.array(right), np.array(losses), np.array(new)


def test_beats_the_baseline_and_reports_what_its_model_does(run):
    trained, _ = run("--epochs", "4", "--seed", "3")
    train, validation, test = part_of_speech.embedded()

    # What each word most often is in training, counted another way.
    pairs, tags = Counter(), Counter()
    for sentence, of_words in zip(*train, strict=True):
        pairs.update(zip(sentence, of_words, strict=True))
        tags.update(of_words)
    tag_of = {word: tag for (word, tag), _ in reversed(pairs.most_common())}
    told = [
        tag_of.get(word, tags.most_common(1)[0][0]) == tag
        for sentence, of_words in zip(*test, strict=True)
        for word, tag in zip(sentence, of_words, strict=True)
    ]
    baseline = trained.test["test_baseline_accuracy"]
    assert baseline == pytest.approx(np.mean(told), abs=1e-9)
    assert 0.75 < baseline < 0.8
    assert trained.test["test_accuracy"] > 0.95

    for part, row, name in (
        (validation, trained.epochs[-1], "validation"), (test, trained.test, "test"),
    ):  # fmt: skip
        right, losses, new = each_word(trained, part)
        assert row[f"{name}_accuracy"] == pytest.approx(right.mean(), abs=1e-9)
        assert row[f"{name}_loss"] == pytest.approx(losses.mean(), rel=1e-4)
    assert new.sum() > 50
    assert right[new].mean() > 0.6  # by their endings and their neighbours


def test_endings_stand_for_words_in_training_alone_and_tags_are_theirs(run):
    words = ["--epochs", "1", "--batch-size", "300", "--width", "4", "--embedding-width", "4"]
    trained, batches = run(*words, "--word-dropout-rate", "0")
    (sentences, tags), _, _ = part_of_speech.embedded()
    names = json.loads((trained.folder / "vocabulary.json").read_text("utf-8"))["words"]
    # The training part alone decides what words and endings there are.
    known = {word for sentence in sentences for word in sentence}
    assert set(names[2:]) == known | {ending(word) for word in known}

    tags_of = dict(zip(map(tuple, sentences), tags, strict=True))
    whole, found = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
    assert whole.shape == found.shape == (1200, 16)
    assert whole.dtype == found.dtype == "int32"
    for row, of_words in zip(whole, found, strict=True):
        sentence = tuple(names[token] for token in row if token != PADDING)
        assert of_words[: len(sentence)].tolist() == tags_of[sentence]
        assert not row[len(sentence) :].any()

    batches.clear()
    run(*words, "--word-dropout-rate", "0.3")
    dropped, same = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
    np.testing.assert_array_equal(same, found)
    changed = dropped != whole
    assert not changed[whole == PADDING].any()
    assert changed[whole != PADDING].mean() == pytest.approx(0.3, abs=0.02)
    for token, before in set(zip(dropped[changed].tolist(), whole[changed].tolist(), strict=True)):
        assert names[token] == ending(names[before])


def test_the_loss_is_the_mean_over_words_and_not_over_padding(run, monkeypatch):
    losses = []
    make = tagger.gradient_step

    def gradient_step(compute_loss, model, optimizer):
        step = make(compute_loss, model, optimizer)

        def compared(tokens, tags):
            logits = model.predict_on_batch(tokens).astype("float64")
            each = np.log(np.exp(logits).sum(axis=-1))
            each -= np.take_along_axis(logits, tags[..., None], axis=-1)[..., 0]
            loss = step(tokens, tags)
            losses.append((float(loss), each[tokens != PADDING].mean()))
            return loss

        compared.variables = step.variables
        return compared

    monkeypatch.setattr(tagger, "gradient_step", gradient_step)
    run("--epochs", "2", "--batch-size", "400", "--dropout-rate", "0")
    assert len(losses) == 6
    found, expected = zip(*losses, strict=True)
    assert found == pytest.approx(expected, rel=1e-5)


def test_the_first_words_are_trained_on_and_all_are_evaluated(run):
    words = ["--epochs", "1", "--batch-size", "600", "--width", "4", "--word-dropout-rate", "0"]
    trained, batches = run(*words, "--length", "5")
    assert {batch[0].shape for batch in batches} == {(600, 5)}
    assert np.all(np.concatenate([batch[0] for batch in batches])[:, 0] != PADDING)
    _, _, test = part_of_speech.embedded()
    right, losses, _ = each_word(trained, test)
    assert len(losses) == sum(map(len, test[0]))
    assert trained.test["test_accuracy"] == pytest.approx(right.mean(), abs=1e-9)
    assert trained.test["test_loss"] == pytest.approx(losses.mean(), rel=1e-4)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("walking", "ending ing"),
        ("Paris", "Ending ris"),
        ("NATO", "Ending ato"),
        ("1984", "ending 000"),
        ("B2", "Ending b0"),
        (",", "ending ,"),
        ("École", "Ending ole"),
    ],
)
def test_endings(word, expected):
    assert ending(word) == expected


def test_most_frequent_tags():
    tag_of, of_others = most_frequent_tags([["a", "b", "a"], ["a", "c"]], [[1, 3, 2], [2, 3]])
    assert tag_of == {"a": 2, "b": 3, "c": 3}
    assert of_others == 2  # of two that are equally frequent the first
    # Of all words, and not of all different ones.
    assert most_frequent_tags([["a", "a", "a", "b", "c"]], [[1, 1, 1, 3, 3]])[1] == 1
