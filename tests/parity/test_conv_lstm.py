"""The convolutional LSTM against Flax's cells, at random weights: values and gradients.

Those have no peepholes: ours are zero, and ``tests/custom_layers/test_conv_lstm.py`` compares them
with NumPy.
"""

import importlib.util

import numpy as np
import pytest

from tests.parity import conv_lstm_originals as original
from tests.parity.processes import run_originals
from tests.recurrent import assert_close, outputs_and_gradients
from zoo.recurrent.conv_lstm import conv_lstm

if any(importlib.util.find_spec(each) is None for each in ("flax", "jax")):
    pytestmark = pytest.mark.skip(reason="the original is not installed: extra oracles")


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    """What the original computed."""
    folder = tmp_path_factory.mktemp("originals")
    run_originals("conv_lstm_originals", folder)
    return np.load(folder / "conv_lstm.npz")


def gates(array):
    """Flax's i, g, f, o as i, f, g, o."""
    i, g, f, o = np.split(array, 4, axis=-1)
    return np.concatenate([i, f, g, o], axis=-1)


def in_our_layout(arrays, path, kind=""):
    """A weight, or with ``kind`` its gradient, by its path here; None for one that is only here."""
    layer, name = path.split("/")
    if layer == "output":
        weight = arrays[f"{kind}output/{name}"]
        return weight[None, None, None] if name == "kernel" else weight
    if layer.endswith("_input"):
        return gates(arrays[f"{kind}{layer.removesuffix('_input')}/ih/kernel"])[None]
    if name == "recurrent_kernel":
        return gates(arrays[f"{kind}{layer}/hh/kernel"])
    if name == "bias":
        of_input, of_state = (gates(arrays[f"{kind}{layer}/{each}/bias"]) for each in ("ih", "hh"))
        if kind:  # of their sum, as of each of them
            np.testing.assert_allclose(of_input, of_state)
            return of_state
        ones = np.ones(len(of_state) // 4)  # which the cell adds within the forget gate
        return of_input + of_state + np.concatenate([0 * ones, ones, 0 * ones, 0 * ones])
    return None


def test_values_and_gradients(arrays):
    model = conv_lstm(
        original.HORIZON, (None, original.HEIGHT, original.WIDTH, original.CHANNELS),
        original.WIDTHS, original.KERNEL, original.KERNEL, original.PATCH,
    )  # fmt: skip
    for variable in model.weights:
        weight = in_our_layout(arrays, variable.path)
        variable.assign(np.zeros(variable.shape) if weight is None else weight)
    outputs, (of_frames, *of_weights) = outputs_and_gradients(
        model, [arrays["frames"]], [arrays["upstream"]]
    )
    assert_close(outputs, [arrays["logits"]], tolerance=1e-5)
    assert_close([of_frames], [arrays["gradient of frames"]], tolerance=1e-5)
    compared = 0
    for variable, gradient in zip(model.trainable_variables, of_weights, strict=True):
        expected = in_our_layout(arrays, variable.path, "gradient of ")
        if expected is not None:
            assert_close([gradient], [expected], tolerance=1e-5)
            compared += 1
    # Kernels of input and state, a bias and peepholes in each layer, but forecaster1 has no input.
    assert len(of_weights) == 4 * 4 - 1 + 2
    assert compared == len(of_weights) - 4
