"""A ResNet and a ViT on pictures: how they are prepared, augmented and trained."""

import importlib

import keras
import numpy as np
import pytest
from PIL import Image

from recipes import __main__ as command_line
from recipes.data import cifar10
from recipes.training.saved_run import read_run

SHORT = {
    "resnet_cifar10": ["--batch-size", "200"],
    "vit_cifar10": ["--batch-size", "200", "--patch-size", "16", "--width", "16", "--depth", "1"],
}
every_recipe = pytest.mark.parametrize("name", SHORT)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a recipe and returns (its module, its folder, model and optimizer, what it is over)."""
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())

    def call(name, *words):
        recipe = importlib.import_module(f"recipes.{name}")
        step, made = recipe.gradient_step, []

        def gradient_step(compute_loss, model, optimizer):
            made.append((model, optimizer))
            return step(compute_loss, model, optimizer)

        monkeypatch.setattr(recipe, "gradient_step", gradient_step)
        words = ["run", name, "--data", "embedded", "--epochs", "1", *SHORT[name], *words]
        assert command_line.main([*words, "--runs", str(tmp_path)]) == 0
        (folder,) = (tmp_path / name).iterdir()
        return folder, *made[0], read_run(folder)

    return call


@every_recipe
def test_pixels_are_standardized(name, run):
    _, model, _, _ = run(name)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("uint8")
    rescaling, network = model.layers
    expected = (pixels / 255 - cifar10.MEANS) / cifar10.DEVIATIONS
    found = keras.ops.convert_to_numpy(rescaling(pixels))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert network.output_shape == (None, 10)


@every_recipe
def test_images_are_moved_and_mirrored_in_training_alone(name, run, monkeypatch):
    recipe, calls = importlib.import_module(f"recipes.{name}"), []
    monkeypatch.setattr(recipe, "moved", lambda random, images, most: calls.append(most) or images)
    monkeypatch.setattr(recipe, "mirrored", lambda random, images: calls.append("m") or images)
    *_, over = run(name)
    assert calls == [4, "m"] * len(over.steps)


@every_recipe
def test_matrices_alone_decay(name, run):
    _, model, optimizer, _ = run(name)
    decayed = {each.path for each in model.trainable_variables if optimizer._use_weight_decay(each)}
    matrices = {each.path for each in model.trainable_variables if each.path.endswith("kernel")}
    assert decayed == matrices and decayed


def test_the_learning_rate_of_the_resnet_falls_twice(run):
    _, _, optimizer, over = run("resnet_cifar10")
    steps = len(over.steps)
    rates = [float(optimizer._learning_rate(step)) for step in range(steps + 1)]
    assert rates[0] == rates[steps // 2] == pytest.approx(0.1)
    assert rates[steps // 2 + 1] == rates[3 * steps // 4] == pytest.approx(0.01)
    assert rates[3 * steps // 4 + 1] == rates[-1] == pytest.approx(0.001)
    assert optimizer.momentum == 0.9


def test_the_learning_rate_of_the_vit_grows_and_falls(run):
    _, _, optimizer, over = run("vit_cifar10", "--learning-rate", "0.01")
    steps = len(over.steps)
    rates = [float(optimizer._learning_rate(step)) for step in range(steps + 1)]
    assert max(rates) == pytest.approx(0.01) and rates[-1] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("depth", [32, 110])
def test_depths_of_the_resnet(depth, run):
    _, model, _, _ = run("resnet_cifar10", "--depth", str(depth), "--batch-size", "1800")
    assert model.layers[-1].name == f"resnet{depth}_cifar"


def test_smoothed_labels_of_the_vit(run):
    words = ["vit_cifar10", "--stochastic-depth-rate", "0", "--batch-size", "1800"]
    *_, smoothed = run(*words, "--label-smoothing", "0.5")
    assert smoothed.steps[0]["loss"] == pytest.approx(np.log(10), abs=0.05)


def test_predict_names_what_is_embedded(run, tmp_path, capsys):
    folder, *_ = run("vit_cifar10")
    (images, _), _ = cifar10.embedded()
    Image.fromarray(images[0]).save(tmp_path / "shape.png")
    capsys.readouterr()
    assert command_line.main(["predict", str(folder), str(tmp_path / "shape.png")]) == 0
    told = capsys.readouterr().out
    assert any(name in told for name in cifar10.EMBEDDED_CLASSES)
    assert not any(name in told for name in cifar10.CLASSES)


@pytest.mark.parametrize(
    ("name", "words", "told"),
    [
        ("vit_cifar10", ["--patch-size", "5"], "multiples of 5"),
        ("vit_cifar10", ["--width", "30"], "cannot split width=30 among num_heads=4"),
        ("resnet_cifar10", ["--depth", "21"], "--depth"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(name, words, told, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())
    words = ["run", name, "--data", "embedded", *words, "--runs", str(tmp_path)]
    assert command_line.main(words) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and "\n" not in error
    assert told in error
    assert list(tmp_path.glob("*/*")) == []
