"""What the networks of the study of batch normalization compute, and what it reads of its run."""

import math
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from recipes import __main__ as command_line
from recipes import study_batch_norm
from recipes.data import few_digits
from recipes.data.batches import cut_validation
from recipes.study_batch_norm import steps_to
from recipes.training.run import VALIDATION_FRACTION
from tests.recipes.spies import are_right, judged_again, spied_run


@pytest.fixture
def losses(tmp_path, monkeypatch):
    """{model: its compute_loss}, in the order of the gradient steps, after a short run."""
    made = []
    gradient_step = study_batch_norm.gradient_step

    def recorded(compute_loss, model, optimizer):
        made.append((model, compute_loss, optimizer))
        return gradient_step(compute_loss, model, optimizer)

    monkeypatch.setattr(study_batch_norm, "gradient_step", recorded)
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())
    words = ["--epochs", "1", "--batch-size", "300", "--group-size", "60"]
    runs = str(tmp_path)
    assert command_line.main(["run", "study_batch_norm", *words, "--runs", runs]) == 0
    return made


def forward(model, pixels):
    """Logits of one group, by NumPy; with normalization where there are four weights a layer."""
    weights = [each.astype("float64") for each in model.get_weights()]
    *hidden, kernel, bias = weights
    size = len(hidden) // 3
    x = pixels.astype("float64")
    for start in range(0, len(hidden), size):
        if size == 2:
            x = x @ hidden[start] + hidden[start + 1]
        else:
            dense, gamma, beta, _, _ = hidden[start : start + size]
            x = x @ dense
            x = gamma * (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-3) + beta
        x = 1 / (1 + np.exp(-x))
    return x @ kernel + bias


def test_each_network_has_its_normalization_and_its_rate(losses):
    random = np.random.default_rng(0)
    pixels = random.random((300, 784), "float32")
    labels = random.integers(10, size=300)
    # With and without normalization at three rates, then in groups.
    expected = [(2, 300, 0.1), (2, 300, 1), (2, 300, 10), (5, 300, 0.1), (5, 300, 1), (5, 300, 10)]
    expected.append((5, 60, 1))
    assert len(losses) == len(expected)
    for (model, compute_loss, optimizer), (weights, group, rate) in zip(
        losses, expected, strict=True
    ):
        assert len(model.weights) == 3 * weights + 2
        logits = np.concatenate([forward(model, part) for part in np.split(pixels, 300 // group)])
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        loss = -log_probabilities[range(300), labels].mean()
        found = float(keras.ops.convert_to_numpy(compute_loss(pixels, labels)))
        assert found == pytest.approx(loss, rel=1e-4)
        schedule = optimizer.learning_rate  # after the last of 3 steps
        assert float(keras.ops.convert_to_numpy(schedule)) == pytest.approx(0, abs=1e-6 * rate)
        assert optimizer.get_config()["learning_rate"]["config"]["initial_learning_rate"] == rate


def test_groups_divide_the_batch(tmp_path, capsys):
    words = ["--batch-size", "60", "--group-size", "7", "--runs", str(tmp_path)]
    assert command_line.main(["run", "study_batch_norm", *words]) != 0
    assert "--group-size 7 does not divide 60" in capsys.readouterr().err


def test_the_first_step_at_or_below_a_level():
    assert steps_to(1.0, [10, 20, 30, 40], [2.0, 1.0, 0.5, 3.0]) == 20
    assert steps_to(1.0, [10, 20], [2.0, 1.1]) == math.inf


# Mean losses of three epochs. Below half of that of guessing, 1.15, first is the medium rate with
# normalization, after a step, and the slow one without, after two.
LOSSES = {
    "plain_slow": [2.0, 1.0, 0.5],
    "plain_medium": [2.0, 2.0, 1.0],
    "plain_fast": [2.2, 2.2, 2.2],
    "normalized_slow": [2.0, 2.0, 2.0],
    "normalized_medium": [1.0, 0.5, 0.2],
    "normalized_fast": [2.0, 1.0, 0.5],
    "grouped": [2.0, 1.0, 0.5],
}


def test_labels_are_wrong_in_training_alone(tmp_path, monkeypatch):
    """And the figures are those of the model that is saved, on the parts that they name.

    Of the networks with normalization and without, it judges those at the best rate of each.
    """
    words = ["--epochs", "1", "--batch-size", "300", "--wrong-labels", "0.5"]
    run, batches = spied_run(monkeypatch, study_batch_norm, tmp_path)(*words)
    training, test = few_digits.embedded()
    right = are_right(batches, training)
    assert len(right) == 7 * 900
    assert np.mean(right) == pytest.approx(0.5, abs=0.05)
    model = keras.models.load_model(run.folder / "model.keras")
    _, validation = cut_validation(training, VALIDATION_FRACTION, seed=0)
    for found, name, (pixels, labels) in (
        (run.epochs[-1], "validation", validation), (run.test, "test", test),
    ):  # fmt: skip
        predicted = model.predict(pixels, verbose=0).argmax(axis=1)
        assert found[f"{name}_grouped_accuracy"] == pytest.approx(np.mean(predicted == labels))

    rows = [
        {"step": step + 1} | {f"training_{name}_loss": each[step] for name, each in LOSSES.items()}
        for step in range(3)
    ]
    monkeypatch.setattr(study_batch_norm, "read_run", lambda folder: SimpleNamespace(epochs=rows))
    verdicts = judged_again(run.folder).description["verdicts"]
    fewer = verdicts["Normalized, a network takes fewer steps to the same loss"]
    assert fewer["verdict"] == "holds"
    assert fewer["measured"].startswith("to 1.15, 1 with it, and without it 2;")
