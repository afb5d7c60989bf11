"""Feedforward networks against torch.nn and the authors' residual network, at random weights."""

import importlib.util

import numpy as np
import pytest
from keras import ops

from custom_layers import BatchNormalization, Dropout
from recipes.training.gradient_step import gradient_step
from recipes.training.kept_gradients import KeptGradients
from tests.parity.feedforward_originals import BATCH, SHAPES
from tests.parity.processes import run_originals
from zoo.feedforward.mlp import mlp
from zoo.feedforward.residual_mlp import residual_mlp
from zoo.initial_weights import seeded

TOLERANCE = 2e-6  # of the largest expected value
MODELS = {
    "mlp": (mlp, {"widths": (9, 7), "num_classes": 3}),
    "mlp of images with batch norm": (
        mlp,
        {
            "widths": [9, 7], "num_classes": 3, "batch_norm": True, "dropout_rate": 0.3,
            "input_dropout_rate": 0.1,
        },
    ),
    "residual_mlp": (
        residual_mlp,
        {
            "depth": 3, "width": 7, "hidden_width": 9, "num_classes": 3,
            "hidden_dropout_rate": 0.3, "dropout_rate": 0.1,
        },
    ),
    "residual_mlp in its default size": (residual_mlp, {}),
}  # fmt: skip

every_model = pytest.mark.parametrize("name", MODELS)
if any(importlib.util.find_spec(each) is None for each in ("torch", "rtdl_revisiting_models")):
    pytestmark = pytest.mark.skip(reason="the originals are not installed: extra oracles")


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """The folder of what the originals computed."""
    folder = tmp_path_factory.mktemp("originals")
    run_originals("feedforward_originals", folder)
    return folder


def build(name):
    builder, arguments = MODELS[name]
    if SHAPES[name] != (8,):  # which is a default
        arguments = {**arguments, "input_shape": SHAPES[name]}
    return seeded(builder, 0, **arguments)


def read(folder, name):
    """{kind: arrays}; those of weights in our layout, for PyTorch's kernels are (out, in)."""
    kinds = {}
    with np.load(folder / f"{name}.npz") as arrays:
        for key, array in arrays.items():
            kind, _ = key.split()
            if kind in ("fresh", "before", "after", "gradient"):
                array = array.T
            kinds.setdefault(kind, []).append(array)
    return kinds


def assert_equal(actual, expected, told, largest=0.0):
    assert actual.shape == expected.shape, told
    error = np.abs(actual - expected).max() / max(np.abs(expected).max(), largest)
    assert error <= TOLERANCE, f"{told}: {error:.2g}"


@every_model
def test_inference(name, originals):
    theirs = read(originals, name)
    model = build(name)
    model.set_weights(theirs["before"])
    assert_equal(model.predict_on_batch(theirs["examples"][0]), theirs["inference"][0], name)


@every_model
def test_a_training_step(name, originals, monkeypatch):
    """Outputs, statistics and gradients, where our dropout drops what the original's did."""
    theirs = read(originals, name)
    model = build(name)
    model.set_weights(theirs["before"])
    dropouts = [layer for layer in model.layers if isinstance(layer, Dropout)]
    for layer, keep in zip(dropouts, theirs["keep"], strict=True):
        mask = ops.convert_to_tensor((keep / (1 - layer.rate)).astype("float32"))
        monkeypatch.setattr(
            layer, "call", lambda x, training=False, mask=mask: x * mask if training else x
        )

    def compute_loss(examples, upstream):
        outputs = model(examples, training=True)
        return ops.sum(upstream * outputs), outputs

    recorder = KeptGradients()
    step = gradient_step(compute_loss, model, recorder)
    _, outputs = step(theirs["examples"][0], theirs["upstream"][0])
    assert_equal(ops.convert_to_numpy(outputs), theirs["training"][0], name)

    # A bias in front of a normalization has no gradient but rounding.
    largest = 0.1 * max(np.abs(each).max() for each in theirs["gradient"])
    variables = zip(model.trainable_variables, recorder.gradients, theirs["gradient"], strict=True)
    for variable, ours, expected in variables:
        assert_equal(ops.convert_to_numpy(ours), expected, variable.path, largest)

    weights = zip(model.weights, theirs["before"], theirs["after"], strict=True)
    for variable, before, after in weights:
        if variable.name == "moving_variance":
            # PyTorch keeps the unbiased variance: of the batch's share, take the biased one.
            old = 0.9 * before
            after = old + (after - old) * (BATCH - 1) / BATCH
        assert_equal(ops.convert_to_numpy(variable), after, variable.path)
    assert any(isinstance(layer, BatchNormalization) for layer in model.layers) == (name != "mlp")


def test_fresh_weights_are_spread_as_the_originals(originals):
    theirs = read(originals, "residual_mlp in its default size")["fresh"]
    ours = build("residual_mlp in its default size").trainable_variables
    for variable, expected in zip(ours, theirs, strict=True):
        actual = ops.convert_to_numpy(variable)
        assert actual.shape == expected.shape, variable.path
        if expected.size > 100:
            largest = float(np.abs(expected).max())
            assert np.abs(actual).max() == pytest.approx(largest, rel=0.05), variable.path
            assert actual.std() == pytest.approx(expected.std(), abs=0.1 * largest), variable.path
