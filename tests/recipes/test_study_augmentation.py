"""Three networks, each of which sees its own digits."""

import itertools
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import torch

from recipes import __main__ as command_line
from recipes import study_augmentation as study
from recipes.data import mnist
from recipes.data.batches import cut_validation
from recipes.training.run import VALIDATION_FRACTION
from recipes.training.saved_run import read_run
from tests.recipes.spies import judged_again, spied_run, ways_between


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the study and returns what it is over."""
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())

    def call(*words):
        words = ["run", "study_augmentation", "--data", "embedded", *map(str, words)]
        assert command_line.main([*words, "--runs", str(tmp_path)]) == 0
        (folder,) = (tmp_path / "study_augmentation").iterdir()
        return read_run(folder)

    return call


def test_the_network_is_pytorchs():
    """With the weights of PyTorch's layers, whose images have their channels first."""
    model = study.network(4, "small")
    torch.manual_seed(0)
    modules = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(4, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
    )  # fmt: skip
    dense = torch.nn.Sequential(
        torch.nn.Linear(7 * 7 * 8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10)
    )
    with torch.no_grad():
        model.set_weights(
            [
                weight.permute(*{4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[weight.ndim])
                for part in (modules, dense)
                for weight in part.parameters()
            ]
        )
        images = mnist.embedded()[1][0][::100]
        pixels = torch.tensor(images / np.float32(255)).permute(0, 3, 1, 2)
        expected = dense(modules(pixels).permute(0, 2, 3, 1).flatten(1)).numpy()
    np.testing.assert_allclose(model.predict(images, verbose=0), expected, rtol=1e-4, atol=1e-5)


def test_the_bigger_network_has_nine_times_as_many_weights():
    small, bigger = (study.network(width, "network").count_params() for width in (8, 24))
    assert 8.5 < bigger / small < 9.5


def test_only_the_augmented_network_sees_moved_digits(run, monkeypatch):
    """Black ones here, which say nothing; and as many digits as are asked for."""
    seen = []

    def blackened(random, images, most):
        seen.append(images.shape)
        return 0 * images

    monkeypatch.setattr(study, "moved", blackened)
    over = run("--epochs", 6, "--digits", 200)
    assert seen == [(50, 28, 28, 1)] * 6 * 4
    first, last = over.steps[0], over.steps[-1]
    assert first["augmented_loss"] == pytest.approx(np.log(10), rel=1e-5)  # biases are 0 at first
    assert first["plain_loss"] != pytest.approx(np.log(10), rel=1e-3)
    assert last["augmented_loss"] > 2 > max(last["plain_loss"], last["bigger_loss"])
    assert over.test["test_augmented_accuracy"] < 0.2 < over.test["test_plain_accuracy"]
    assert [each["verdict"] for each in over.description["verdicts"].values()] == [
        "does not hold"
    ] * 2


def test_what_the_networks_begin_with_and_see_and_what_is_told_of_them(tmp_path, monkeypatch):
    """All see the same digits, and one of them sees them moved by up to 2 pixels."""
    begun = {}
    make = study.gradient_step

    def remembered(compute_loss, model, optimizer):
        begun[model.name] = model.get_weights()
        return make(compute_loss, model, optimizer)

    monkeypatch.setattr(study, "gradient_step", remembered)
    run, batches = spied_run(monkeypatch, study, tmp_path)("--epochs", "1")
    assert list(begun) == ["plain", "augmented", "bigger"]
    for weight, other in zip(begun["plain"], begun["augmented"], strict=True):
        np.testing.assert_array_equal(weight, other)

    ways = set()
    for plain, augmented, bigger in zip(*[iter(batches)] * 3, strict=True):
        ways.update(ways_between(plain[0], augmented[0], 2))
        np.testing.assert_array_equal(plain[0], bigger[0])
        for _, labels in (augmented, bigger):
            np.testing.assert_array_equal(plain[1], labels)
    assert ways == set(itertools.product(range(-2, 3), range(-2, 3), [False]))

    training, test = mnist.embedded()
    _, validation = cut_validation(training, VALIDATION_FRACTION, seed=0)
    model = keras.models.load_model(run.folder / "model.keras")
    for found, name, (images, labels) in (
        (run.epochs[-1], "validation", validation), (run.test, "test", test),
    ):  # fmt: skip
        predicted = model.predict(images, verbose=0).argmax(axis=1)
        assert found[f"{name}_augmented_accuracy"] == np.mean(predicted == labels)

    # A point more is wanted.
    scores = {"plain": 0.9, "augmented": 0.905, "bigger": 0.89}
    monkeypatch.setattr(
        study, "classify", lambda model, split: SimpleNamespace(accuracy=scores[model.name])
    )
    verdicts = judged_again(run.folder).description["verdicts"]
    assert [each["verdict"] for each in verdicts.values()] == ["does not hold", "holds"]
