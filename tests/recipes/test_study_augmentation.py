"""Three networks, each of which sees its own digits."""

import keras
import numpy as np
import pytest
import torch

from recipes import __main__ as command_line
from recipes import study_augmentation as study
from recipes.data import mnist
from recipes.training.saved_run import read_run


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


def test_its_figures_are_those_of_its_model(run):
    over = run("--epochs", 1)
    model = keras.models.load_model(over.folder / "model.keras")
    images, labels = mnist.embedded()[1]
    predicted = model.predict(images, verbose=0).argmax(axis=1)
    assert over.test["test_augmented_accuracy"] == np.mean(predicted == labels)
