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
    "resnet_cifar10": [],
    "vit_cifar10": ["--patch-size", "16", "--width", "16", "--depth", "1"],
}
BATCH_SIZE = 24
PARTS = cifar10.embedded()
every_recipe = pytest.mark.parametrize("name", SHORT)


def run(name, *words, runs):
    """Runs a recipe on few pictures.

    Returns (its folder, model, optimizer, what was done to images, what it is over).
    """
    recipe, made, done = importlib.import_module(f"recipes.{name}"), [], []
    few = [
        (images[:count], labels[:count])
        for (images, labels), count in zip(PARTS, (240, 60), strict=True)
    ]
    step, moved, mirrored = recipe.gradient_step, recipe.moved, recipe.mirrored

    def gradient_step(compute_loss, model, optimizer):
        made.extend((model, optimizer))
        return step(compute_loss, model, optimizer)

    words = ["--epochs", 1, "--batch-size", BATCH_SIZE, *SHORT[name], *words, "--runs", runs]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", keras.backend.backend())
        patch.setattr(cifar10, "embedded", lambda: few)
        patch.setattr(recipe, "gradient_step", gradient_step)
        patch.setattr(recipe, "moved", lambda *all: done.append(all[2]) or moved(*all))
        patch.setattr(recipe, "mirrored", lambda *all: done.append("mirror") or mirrored(*all))
        assert command_line.main(["run", name, "--data", "embedded", *map(str, words)]) == 0
    (folder,) = (runs / name).iterdir()
    return folder, *made, done, read_run(folder)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """{name: what ``run`` returns}."""
    return {name: run(name, runs=tmp_path_factory.mktemp(name)) for name in SHORT}


@every_recipe
def test_pixels_are_standardized(name, runs):
    _, model, *_ = runs[name]
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("uint8")
    rescaling, network = model.layers
    expected = (pixels / 255 - cifar10.MEANS) / cifar10.DEVIATIONS
    found = keras.ops.convert_to_numpy(rescaling(pixels))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert network.output_shape == (None, 10)


@every_recipe
def test_images_are_moved_and_mirrored_in_training_alone(name, runs):
    *_, done, over = runs[name]
    assert done == [4, "mirror"] * len(over.steps)


@every_recipe
def test_matrices_alone_decay(name, runs):
    _, model, optimizer, *_ = runs[name]
    decayed = {each.path for each in model.trainable_variables if optimizer._use_weight_decay(each)}
    matrices = {each.path for each in model.trainable_variables if each.path.endswith("kernel")}
    assert decayed == matrices and decayed


def test_the_learning_rate_of_the_resnet_falls_twice(runs):
    _, _, optimizer, _, over = runs["resnet_cifar10"]
    steps = len(over.steps)
    rates = [float(optimizer._learning_rate(step)) for step in range(steps + 1)]
    assert rates[0] == rates[steps // 2] == pytest.approx(0.1)
    assert rates[steps // 2 + 1] == rates[3 * steps // 4] == pytest.approx(0.01)
    assert rates[3 * steps // 4 + 1] == rates[-1] == pytest.approx(0.001)
    assert optimizer.momentum == 0.9


def test_the_learning_rate_of_the_vit_grows_and_falls(runs):
    _, _, optimizer, _, over = runs["vit_cifar10"]
    steps = len(over.steps)
    rates = [float(optimizer._learning_rate(step)) for step in range(steps + 1)]
    assert max(rates) == rates[steps // 10] == pytest.approx(5e-4)
    assert rates[-1] == pytest.approx(0, abs=1e-9)


def test_the_depth_of_the_resnet(tmp_path):
    _, model, *_ = run("resnet_cifar10", "--depth", 32, runs=tmp_path)
    assert model.layers[-1].name == "resnet32_cifar"


def test_smoothed_labels_of_the_vit(tmp_path):
    """The first step's loss is a straight line over what they are smoothed by."""
    losses = {}
    for smoothing in (0, 0.4, 0.8):
        words = ["--stochastic-depth-rate", 0, "--label-smoothing", smoothing]
        *_, over = run("vit_cifar10", *words, runs=tmp_path / str(smoothing))
        losses[smoothing] = over.steps[0]["loss"]
    assert losses[0.4] == pytest.approx((losses[0] + losses[0.8]) / 2, rel=1e-5)
    assert losses[0] != pytest.approx(losses[0.8], rel=1e-3)


def test_predict_names_what_is_embedded(runs, tmp_path, capsys):
    folder, *_ = runs["vit_cifar10"]
    Image.fromarray(PARTS[0][0][0]).save(tmp_path / "shape.png")
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
