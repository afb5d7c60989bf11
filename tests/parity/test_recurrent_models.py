"""Recurrent networks against modules of torch.nn's layers, whose state dicts they load.

Padded batches here are packed sequences there, so these are also the numbers of rows alone.
"""

import functools
import importlib.util

import numpy as np
import pytest
from keras import ops

import zoo
from recipes.training.gradient_step import gradient_step
from recipes.training.kept_gradients import KeptGradients
from tests.parity.processes import run_originals
from tests.parity.recurrent_model_originals import (
    CASES,
    CLASSES,
    EMBEDDING,
    FEATURES,
    HORIZON,
    NAMES,
    TIME,
    TOKENS,
    WIDTH,
)

TOLERANCE = 2e-6  # of the largest expected value

if importlib.util.find_spec("torch") is None:
    pytestmark = pytest.mark.skip(reason="the originals are not installed: extra torch")

every_case = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """The folder of what the originals saved and computed."""
    folder = tmp_path_factory.mktemp("originals")
    run_originals("recurrent_model_originals", folder)
    return folder


@pytest.fixture(scope="module")
def saved(originals):
    """The same, with what they compute from the weights that the models here saved."""
    for name in NAMES:
        zoo.save_weights(loaded(name, originals), originals / f"{name}.saved.safetensors")
    run_originals("recurrent_model_originals", originals, "saved")
    return originals


@functools.cache
def built(name):
    kind, case = name.split(" ", 1)
    sizes = {"width": WIDTH, "depth": CASES[case].depth}
    if case == "forecaster":
        sizes |= {"horizon": HORIZON, "num_features": FEATURES}
    elif CASES[case].names[0] is None:
        sizes["num_features"] = FEATURES
    else:
        sizes |= {"vocabulary_size": TOKENS, "embedding_width": EMBEDDING}
    if case not in ("forecaster", "language_model"):
        sizes |= {"num_classes": CLASSES, "bidirectional": CASES[case].both_ways}
    return zoo.build(f"{kind}_{case.removesuffix(' both ways')}", seed=0, **sizes)


@pytest.fixture(scope="module", autouse=True)
def freed_at_the_end():
    yield
    built.cache_clear()


def loaded(name, folder):
    model = built(name)
    zoo.load_weights(model, folder / f"{name}.pth")
    return model


def assert_equal(actual, expected, told):
    error = np.abs(actual - expected).max() / np.abs(expected).max()
    assert error <= TOLERANCE, f"{told}: {error:.2g}"


def values(variables):
    return {each.path: ops.convert_to_numpy(each).copy() for each in variables}


@every_case
@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask")
def test_outputs_and_gradients(name, originals):
    model, expected = loaded(name, originals), np.load(originals / f"{name}.npz")
    inputs, upstream = expected["inputs"], expected["upstream"].astype("float32")
    mask = np.arange(TIME) < expected["lengths"][:, None]
    takes_mask = inputs.ndim == 3 and not mask.all()  # tokens tell themselves what is padding
    inputs = inputs.astype("float32" if inputs.ndim == 3 else "int32")
    counts = mask[:, :, None] if CASES[name.split(" ", 1)[1]].each_step else 1.0

    def compute_loss(inputs, mask, upstream):
        outputs = model(inputs, training=True, **({"mask": mask} if takes_mask else {}))
        return ops.sum(upstream * outputs), outputs

    recorder = KeptGradients()
    step = gradient_step(compute_loss, model, recorder)
    _, outputs = step(inputs, mask, (upstream * counts).astype("float32"))
    outputs = ops.convert_to_numpy(outputs)
    assert outputs.shape == expected["outputs"].shape
    outputs = outputs * counts
    assert_equal(outputs, expected["outputs"], name)

    paths = [each.path for each in model.trainable_variables]
    ours = dict(zip(paths, values(recorder.gradients).values(), strict=True))
    zoo.load_weights(model, originals / f"{name}.gradients.safetensors")
    for path, theirs in values(model.trainable_variables).items():
        assert_equal(ours[path], theirs, path)


@every_case
def test_what_is_saved_here_they_load_and_compute_the_same(name, saved):
    expected = np.load(saved / f"{name}.npz")["outputs"]
    assert_equal(np.load(saved / f"{name}.saved.npz")["outputs"], expected, name)
