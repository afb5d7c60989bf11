"""Transformers against those of transformers and torch.nn, whose checkpoints they load."""

import functools
import importlib.util
import shutil

import numpy as np
import pytest
from keras import ops

import zoo
from custom_layers import RelativePositionBias
from recipes.training.gradient_step import gradient_step
from recipes.training.kept_gradients import KeptGradients
from tests.parity.processes import run_originals
from tests.parity.transformer_originals import CASES, DISTANCES, LENGTHS, TIME
from zoo.weights.files import read_tensors

TOLERANCE = 1e-5  # of the largest expected value

if any(importlib.util.find_spec(each) is None for each in ("torch", "timm", "transformers")):
    pytestmark = pytest.mark.skip(reason="the originals are not installed: extra oracles")

# Ours has no pooler there, and who misses it draws one; that version of transformers ties what
# T5's checkpoints have apart; and torch.nn's has no folders.
NOT_READ = {"bert states", "t5 v1.1", *(name for name in CASES if name.startswith("transformer"))}

every_case = pytest.mark.parametrize("name", CASES)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """The folder of what the originals saved and computed."""
    folder = tmp_path_factory.mktemp("originals")
    run_originals("transformer_originals", folder)
    return folder


@functools.cache
def built(name):
    return zoo.build(CASES[name].model, seed=0, **CASES[name].arguments)


@pytest.fixture(scope="module", autouse=True)
def freed_at_the_end():
    yield
    built.cache_clear()


def loaded(name, folder):
    model = built(name)
    zoo.load_weights(model, folder / name)
    return model


def assert_equal(actual, expected, told, tolerance=TOLERANCE):
    error = np.abs(actual - expected).max() / np.abs(expected).max()
    assert error <= tolerance, f"{told}: {error:.2g}"


@every_case
def test_outputs_and_gradients(name, originals):
    model, expected = loaded(name, originals), np.load(originals / f"{name}.npz")
    inputs = [expected[each.name].astype("int32") for each in model.inputs]
    inside = (np.arange(TIME) < LENGTHS[:, None])[:, :, None]
    counts = inside.astype("float32") if CASES[name].each_token else np.float32(1)

    in_inference = ops.convert_to_numpy(model(inputs)) * counts
    assert_equal(in_inference, expected["outputs"], "in inference")

    def compute_loss(upstream, *inputs):
        outputs = model(list(inputs), training=True)
        return ops.sum(upstream * outputs), outputs

    recorder = KeptGradients()
    step = gradient_step(compute_loss, model, recorder)
    _, outputs = step((expected["upstream"] * counts).astype("float32"), *inputs)
    assert_equal(ops.convert_to_numpy(outputs) * counts, expected["outputs"], "in training")

    paths = [each.path for each in model.trainable_variables]
    gradients = [ops.convert_to_numpy(each).copy() for each in recorder.gradients]
    ours = dict(zip(paths, gradients, strict=True))
    zoo.load_weights(model, originals / f"{name}.gradients")
    largest = max(np.abs(each).max() for each in gradients)
    for variable in model.trainable_variables:
        theirs = ops.convert_to_numpy(variable)
        if np.abs(theirs).max() < 1e-6 * largest:  # a bias of the keys moves all scores alike
            assert np.abs(ours[variable.path]).max() < 1e-6 * largest, variable.path
        else:
            tolerance = max(TOLERANCE, 2 * expected["rounding"])
            assert_equal(ours[variable.path], theirs, variable.path, tolerance)


@every_case
def test_what_is_saved_here_loads_again(name, originals, tmp_path):
    model = loaded(name, originals)
    zoo.save_weights(model, tmp_path / "mine.safetensors")
    if CASES[name].of_pairs:  # of the others some have no head, and those with one have a prefix
        ours, _ = read_tensors(tmp_path / "mine.safetensors")
        theirs, _ = read_tensors(originals / name)
        assert ours.keys() == theirs.keys()
        for key, array in ours.items():
            np.testing.assert_array_equal(array, theirs[key], key)
    before = model.get_weights()
    model.set_weights([np.zeros_like(each) for each in before])
    zoo.load_weights(model, tmp_path / "mine.safetensors")
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_transformers_loads_what_is_saved_here(originals, tmp_path):
    """All of it, into the same architecture, which then computes the same."""
    names = CASES.keys() - NOT_READ
    for name in names:
        if name.startswith(("bert", "gpt2", "llama", "mistral")):  # of which folders are written
            zoo.save_weights(loaded(name, originals), tmp_path / name)
            continue
        shutil.copytree(originals / name, tmp_path / name)
        (tmp_path / name / "model.safetensors").unlink()
        zoo.save_weights(loaded(name, originals), tmp_path / name / "model.safetensors")
    run_originals("transformer_originals", originals, tmp_path)
    for name in names:
        expected = np.load(originals / f"{name}.npz")["outputs"]
        found = np.load(tmp_path / f"{name}.npy")
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("causal", [False, True])
def test_buckets_of_positions(causal, originals):
    layer, places = RelativePositionBias(1, causal=causal), np.zeros((1, DISTANCES, 1), "float32")
    layer.build(places.shape, places.shape)
    layer.biases.assign(np.arange(layer.num_buckets)[:, None])
    buckets = np.load(originals / "buckets.npz")["causal" if causal else "both ways"]
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(places, places))[0, 0], buckets)
