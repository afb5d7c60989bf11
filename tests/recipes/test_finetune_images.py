"""A checkpoint, frozen, then tuned."""

import json

import keras
import numpy as np
import pytest
from keras import ops
from safetensors.numpy import load_file

import zoo
from recipes import __main__ as command_line
from recipes.data import mnist
from recipes.finetune_images import DEVIATIONS, EMBEDDED_WEIGHTS, MEANS, prepared
from recipes.training.saved_run import read_run


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the recipe and returns (its folder, what it is over)."""
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())

    def call(*words):
        runs = tmp_path / str(len(list(tmp_path.iterdir())))
        words = ["run", "finetune_images", *words, "--runs", str(runs)]
        assert command_line.main(words) == 0
        (folder,) = (runs / "finetune_images").iterdir()
        return folder, read_run(folder)

    return call


def tensors(path):
    """{name: array} of a network.safetensors, those of the output layer apart."""
    found = load_file(path)
    head = {name: found.pop(name) for name in [each for each in found if "linear" in each]}
    assert len(head) == 2
    return found, head


def test_tuned_is_better_than_from_scratch_at_equal_steps(run):
    words = ["--epochs", "3", "--head-epochs", "1"]
    _, tuned = run(*words)
    _, scratch = run(*words, "--weights", "none")
    assert len(tuned.steps) == len(scratch.steps) == 3 * 20
    assert tuned.test["test_accuracy"] > 0.94
    assert tuned.test["test_accuracy"] > scratch.test["test_accuracy"] + 0.02
    assert tuned.test["test_loss"] < scratch.test["test_loss"]


def test_the_output_layer_alone_is_trained_first_and_then_all(run):
    folder, _ = run("--epochs", "1", "--head-epochs", "1", "--batch-size", "400")
    features, head = tensors(folder / "network.safetensors")
    before, mnist_head = tensors(EMBEDDED_WEIGHTS)
    assert features.keys() == before.keys()
    for name, array in features.items():  # statistics, too
        np.testing.assert_array_equal(array, before[name], name)
    # The head is a new one: it has not the weights of MNIST's.
    assert all(np.abs(head[name] - mnist_head[name]).max() > 1e-2 for name in head)

    folder, _ = run("--epochs", "2", "--head-epochs", "1", "--batch-size", "400")
    features, _ = tensors(folder / "network.safetensors")
    for name, array in features.items():
        assert np.any(array != before[name]), name

    # Which a next tuning begins with.
    words = ["--weights", str(folder / "network.safetensors"), "--epochs", "1"]
    again, _ = run(*words, "--batch-size", "400")
    for name, array in tensors(again / "network.safetensors")[0].items():
        np.testing.assert_array_equal(array, features[name], name)


def test_the_embedded_checkpoint_knows_mnist():
    network = zoo.build("resnet20_cifar", input_shape=(28, 28, 3))
    zoo.load_weights(network, EMBEDDED_WEIGHTS)
    _, (images, labels) = mnist.embedded()
    logits = network.predict(prepared((28, 28, 1), 28).predict(images, verbose=0), verbose=0)
    assert np.mean(logits.argmax(axis=-1) == labels) > 0.985


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_prepared_as_networks_of_imagenet_take_them(channels):
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 6, channels)).astype("uint8")
    expected = (images / 255 - MEANS) / DEVIATIONS  # grey is red, green and blue
    found = ops.convert_to_numpy(prepared((4, 6, channels), 4)(images))
    assert found.shape == (2, 4, 4, 3)
    square = ops.convert_to_numpy(prepared((4, 4, channels), 4)(images[:, :, :4]))
    np.testing.assert_allclose(square, expected[:, :, :4], rtol=0, atol=1e-5)
    # Larger by bilinear resizing: the corners stay.
    large = ops.convert_to_numpy(prepared((4, 6, channels), 12)(images))
    corners = [large[:, row, column] for row in (0, -1) for column in (0, -1)]
    for corner, (row, column) in zip(corners, [(0, 0), (0, -1), (-1, 0), (-1, -1)], strict=True):
        np.testing.assert_allclose(corner, expected[:, row, column], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--model", "resnet21"], "there is no model 'resnet21': did you mean"),
        (["--model", "resnet18"], "resnet18 needs input_shape"),
        (["--model", "lenet5", "--image-size", "32"], "no checkpoints are known for"),
        (["--weights", "nowhere.pth"], "cannot read nowhere.pth: No such file"),
        (["--weights", "cifar"], "cannot read cifar: No such file"),
        (["--model", "resnet32_cifar"], "resnet20_mnist.safetensors"),
        (["--model", "densenet121", "--image-size", "32"], "into densenet121"),
        (["--image-size", "2"], "needs input_shape"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(words, told, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())
    runs = tmp_path / "runs"
    words = ["run", "finetune_images", *words, "--runs", str(runs)]
    assert command_line.main(words) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and "\n" not in error
    assert told in error
    assert list(runs.glob("*/*")) == []


def test_predict_takes_pictures_of_digits(run, tmp_path, capsys):
    from PIL import Image

    folder, _ = run("--epochs", "1", "--batch-size", "400")
    _, (images, _) = mnist.embedded()
    Image.fromarray(images[0, ..., 0]).save(tmp_path / "digit.png")
    capsys.readouterr()
    assert command_line.main(["predict", str(folder), str(tmp_path / "digit.png")]) == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'digit.png'}  ")
    assert json.loads((folder / "config.json").read_text())["data"]["name"] == "digits"
