"""Recurrent cells against PyTorch's layers, at random weights: values and gradients."""

import importlib.util

import numpy as np
import pytest
from keras import layers

from custom_layers import GRUCell, LSTMCell, RNNCell
from tests.parity.processes import run_originals
from tests.parity.recurrent_originals import NAMES, UNITS, WIDTH
from tests.recurrent import assert_close, outputs_and_gradients

CELLS = {"RNN": RNNCell, "LSTM": LSTMCell, "GRU": GRUCell}

if importlib.util.find_spec("torch") is None:
    pytestmark = pytest.mark.skip(reason="the originals are not installed: extra torch")


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """The folder of what the originals computed."""
    folder = tmp_path_factory.mktemp("originals")
    run_originals("recurrent_originals", folder)
    return folder


def in_our_layout(name, arrays, kind=""):
    """[sequences, states, kernel, recurrent kernel, both biases], or their gradients."""
    states = [arrays[f"{kind}{key}"][0] for key in ("h", "c") if key in arrays]
    weights = []
    for key in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
        weight = arrays[kind + key]
        if name == "GRU":  # PyTorch's gates are r, z, n
            r, z, n = np.split(weight, 3)
            weight = np.concatenate([z, r, n])
        weights.append(weight)
    kernel, recurrent_kernel, *biases = weights
    return [arrays[f"{kind}x"], *states, kernel.T, recurrent_kernel.T, np.stack(biases)]


@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients(name, originals):
    arrays = np.load(originals / f"{name}.npz")
    *inputs, kernel, recurrent_kernel, biases = in_our_layout(name, arrays)
    *expected, expected_biases = in_our_layout(name, arrays, "gradient of ")
    if name != "GRU":  # here is one bias, the sum of PyTorch's two
        biases = biases.sum(axis=0)
        expected_biases, _ = expected_biases
    layer = layers.RNN(CELLS[name](UNITS), return_sequences=True, return_state=True)
    layer.build((None, None, WIDTH))
    layer.set_weights([kernel, recurrent_kernel, biases])
    upstream, *state_upstreams = (arrays[f"upstream {index}"] for index in range(len(inputs)))
    output, *states = (arrays[f"output {index}"] for index in range(len(inputs)))

    outputs, gradients = outputs_and_gradients(
        layer, inputs, [upstream, *(each[0] for each in state_upstreams)],
        call=lambda x, *states: layer(x, initial_state=list(states)),
    )  # fmt: skip
    assert_close(outputs, [output, *(each[0] for each in states)])
    assert_close(gradients, [*expected, expected_biases])
