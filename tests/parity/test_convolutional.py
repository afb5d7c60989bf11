"""Networks of images against torchvision, timm, transformers and torch.nn, at random weights.

The originals save a checkpoint as their users have it, and ``zoo.load_weights`` loads it.
"""

import functools
import importlib.util

import numpy as np
import pytest
from keras import ops

import zoo
from custom_layers import BatchNormalization, Dropout
from recipes.training.gradient_step import gradient_step
from recipes.training.kept_gradients import KeptGradients
from tests.parity.originals import CASES, CLASSES, MOMENTUM
from tests.parity.processes import run_originals
from zoo.weights.files import read_tensors

TOLERANCE = 1e-5  # of the largest expected value

any_backend = pytest.mark.any_backend
# Several sources of one model differ in the names of its weights alone.
NAMES_ALONE = {name for name in CASES if " of " in name}
# Each kind of their layers is trained in another network, too.
TRAINED_ON_ONE = {
    "deit_tiny_distilled_16", "densenet121", "efficientnet_b0", "googlenet",
    "googlenet with auxiliary classifiers", "mobilenet_v2", "mobilenet_v3_large", "resnet18",
    "resnet50", "se_resnet50", "vgg11",
}  # fmt: skip


def cases(names, on_one):
    """Cases, some of which `make test` tries on one backend alone."""
    return pytest.mark.parametrize(
        "name", [pytest.param(each, marks=any_backend if each in on_one else []) for each in names]
    )


if any(importlib.util.find_spec(each) is None for each in ("torchvision", "timm", "transformers")):
    pytestmark = pytest.mark.skip(reason="the originals are not installed: extra oracles")


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """The folder of what the originals computed."""
    folder = tmp_path_factory.mktemp("originals")
    run_originals("originals", folder)
    return folder


@functools.cache
def built(name):
    """Our model, without dropout; what the original drops in training is no part of the test."""
    case = CASES[name]
    model = zoo.build(
        case.model, seed=0, num_classes=CLASSES, input_shape=case.size, **case.arguments
    )
    for layer in model.layers:
        if isinstance(layer, Dropout):
            layer.rate = 0.0
        elif isinstance(layer, BatchNormalization):
            layer.momentum = MOMENTUM
    return model


@pytest.fixture(scope="module", autouse=True)
def freed_at_the_end():
    yield
    built.cache_clear()


def loaded(name, folder):
    """(our model with the weights of the original, what that computed)."""
    model, saved_as = built(name), CASES[name].saved_as
    zoo.load_weights(model, folder / (name if saved_as == "folder" else f"{name}.{saved_as}"))
    return model, np.load(folder / f"{name}.npz")


def assert_equal(actual, expected, told, largest=0.0, tolerance=TOLERANCE):
    scale = max(np.abs(expected).max(), largest)
    error = np.abs(ops.convert_to_numpy(actual) - expected).max() / scale
    assert error <= tolerance, f"{told}: {error:.2g}"


@cases(CASES, NAMES_ALONE)
def test_inference(name, originals):
    model, expected = loaded(name, originals)
    outputs = model.predict_on_batch(expected["images"])
    outputs = outputs[0] if isinstance(outputs, list) else outputs  # auxiliary ones are left out
    assert_equal(outputs, expected["inference"], name)


@any_backend
@pytest.mark.parametrize(
    "name", [name for name, case in CASES.items() if " of " not in name and case.saved_as == "pth"]
)
def test_saved_again_it_is_the_file_of_the_original(name, originals, tmp_path):
    model, _ = loaded(name, originals)
    zoo.save_weights(model, tmp_path / "ours.safetensors")
    ours, _ = read_tensors(tmp_path / "ours.safetensors")
    theirs, _ = read_tensors(originals / f"{name}.pth")
    theirs = {key: each for key, each in theirs.items() if "num_batches" not in key}
    assert ours.keys() == theirs.keys()
    for key, array in ours.items():
        # A dense layer over all positions is a convolution here.
        np.testing.assert_array_equal(array.reshape(theirs[key].shape), theirs[key], key)
    assert [path.name for path in tmp_path.iterdir()] == ["ours.safetensors"]


# Of several sources of one model, the first: the others differ in the names alone.
@cases([name for name in CASES if name not in NAMES_ALONE], TRAINED_ON_ONE)
def test_a_training_step(name, originals):
    """Its outputs, the statistics after it, and for some models the gradients of a loss."""
    model, expected = loaded(name, originals)

    def compute_loss(images, weights):
        outputs = model(images, training=True)
        outputs = ops.stack(outputs) if isinstance(outputs, list) else outputs
        return ops.sum(weights * outputs), outputs

    recorder = KeptGradients()
    step = gradient_step(compute_loss, model, recorder)
    _, outputs = step(expected["images"], expected["weights"])
    # The original in float32 is itself so far from what it computes in float64.
    tolerance = max(TOLERANCE, 2 * expected["rounding"])
    assert_equal(outputs, expected["training"], name, tolerance=tolerance)

    moved = values(each for each in model.weights if each.name.startswith("moving"))
    assert len(moved) == 2 * sum(isinstance(each, BatchNormalization) for each in model.layers)
    zoo.load_weights(model, originals / f"{name}.after.safetensors")
    for path, after in values(model.weights).items():
        if path in moved:
            assert_equal(moved[path], after, path)

    if CASES[name].gradients:
        paths = [each.path for each in model.trainable_variables]
        ours = dict(zip(paths, values(recorder.gradients).values(), strict=True))
        zoo.load_weights(model, originals / f"{name}.gradients.safetensors")
        # Some are zero but for rounding, such as of a shift that a normalization takes away again.
        largest = 0.01 * max(np.abs(each).max() for each in ours.values())
        for path, theirs in values(model.trainable_variables).items():
            assert_equal(ours[path], theirs, path, largest)


def values(variables):
    return {each.path: ops.convert_to_numpy(each).copy() for each in variables}
