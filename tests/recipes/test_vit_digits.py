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


def test_its_figures_are_those_of_its_model_and_of_the_baseline(run):
    """With the defaults, says the recipe's header; a short run gets on the way there."""
    folder, over = run("--epochs", "3", "--depth", "2", "--shift", "1", "--learning-rate", "4e-3")
    test = over.test
    assert test["test_accuracy"] > 0.3

    train, (images, labels) = digits.embedded()
    model = keras.models.load_model(folder / "model.keras")
    predicted = model.predict(images, verbose=0).argmax(axis=1)
    assert test["test_accuracy"] == np.mean(predicted == labels)
    # The baseline sees the same images, without those of the validation part.
    train, _ = cut_validation(train, VALIDATION_FRACTION, seed=0)
    pixels = [each.reshape(len(each), -1) / 255 for each in (train[0], images)]
    baseline = LogisticRegression(max_iter=1000).fit(pixels[0], train[1])
    assert test["test_logistic_accuracy"] == baseline.score(pixels[1], labels)


def test_how_it_is_trained(run, monkeypatch):
    """Images are moved in training alone; the rate grows and falls; matrices alone decay."""
    moves, made, step, moved = [], [], vit_digits.gradient_step, vit_digits.moved
    monkeypatch.setattr(vit_digits, "moved", lambda *all: moves.append(all[2]) or moved(*all))
    monkeypatch.setattr(
        vit_digits, "gradient_step", lambda loss, *both: made.extend(both) or step(loss, *both)
    )
    _, over = run("--epochs", "1", "--depth", "1", "--width", "16", "--shift", "3",
                  "--batch-size", "100", "--patch-size", "14")  # fmt: skip
    steps = len(over.steps)
    assert moves == [3] * steps

    model, optimizer = made
    rates = [float(optimizer._learning_rate(step)) for step in range(steps + 1)]
    assert rates[0] == 0 and rates[steps] == pytest.approx(0, abs=1e-9)
    assert max(rates) == rates[steps // 10] == pytest.approx(2e-3)
    decayed = {each.path for each in model.trainable_variables if optimizer._use_weight_decay(each)}
    assert decayed == {
        each.path for each in model.trainable_variables if each.path.endswith("kernel")
    }
    assert optimizer.weight_decay == 0.05 and optimizer.global_clipnorm == 1
    rescaling, _ = model.layers
    assert rescaling.scale == pytest.approx(1 / 255)


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
