"""A ViT that is better than logistic regression."""

import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from recipes import __main__ as command_line
from recipes import vit_digits
from recipes.data import digits
from recipes.data.batches import cut_validation
from recipes.training.run import VALIDATION_FRACTION
from recipes.training.saved_run import read_run


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the recipe and returns (its folder, what it is over)."""
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())

    def call(*words):
        words = ["run", "vit_digits", *map(str, words), "--runs", str(tmp_path)]
        assert command_line.main(words) == 0
        (folder,) = (tmp_path / "vit_digits").iterdir()
        return folder, read_run(folder)

    return call


def test_better_than_logistic_regression(run):
    folder, over = run("--epochs", "12", "--patch-size", "7", "--depth", "2", "--shift", "1",
                       "--learning-rate", "0.002", "--dropout-rate", "0")  # fmt: skip
    test = over.test
    assert test["test_accuracy"] > test["test_logistic_accuracy"]

    train, (images, labels) = digits.embedded()
    model = keras.models.load_model(folder / "model.keras")
    predicted = model.predict(images, verbose=0).argmax(axis=1)
    assert test["test_accuracy"] == np.mean(predicted == labels)
    # The baseline sees the same images, without those of the validation part.
    train, _ = cut_validation(train, VALIDATION_FRACTION, seed=0)
    pixels = [each.reshape(len(each), -1) / 255 for each in (train[0], images)]
    baseline = LogisticRegression(max_iter=1000).fit(pixels[0], train[1])
    assert test["test_logistic_accuracy"] == baseline.score(pixels[1], labels)


def test_images_are_moved_in_training_alone(run, monkeypatch):
    calls = []
    moved = vit_digits.moved
    monkeypatch.setattr(
        vit_digits, "moved", lambda random, images, most: calls.append(most) or images
    )
    _, over = run("--epochs", "1", "--depth", "1", "--width", "16", "--shift", "3",
                  "--batch-size", "200", "--patch-size", "14")  # fmt: skip
    assert calls == [3] * len(over.steps)
    assert moved is not vit_digits.moved


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--patch-size", "5"], "multiples of 5"),
        (["--width", "30"], "cannot split width=30 among num_heads=4"),
        (["--shift", "-1"], "--shift"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(words, told, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())
    words = ["run", "vit_digits", *words, "--runs", str(tmp_path)]
    assert command_line.main(words) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and "\n" not in error
    assert told in error
    assert list(tmp_path.glob("*/*")) == []
