"""The mixture of experts, and the loss that balances them, against transformers': with gradients.

That has the matrices of a gate and of what it opens below each other, and outputs before inputs.
"""

import importlib.util

import numpy as np
import pytest
from keras import ops

from custom_layers import MixtureOfExperts
from custom_layers.mixture_of_experts import load_balancing_loss
from tests.parity.mixture_originals import CHOSEN, EXPERTS, HIDDEN, WIDTH
from tests.parity.processes import run_originals
from tests.recurrent import assert_close, outputs_and_gradients

if any(importlib.util.find_spec(each) is None for each in ("torch", "timm", "transformers")):
    pytestmark = pytest.mark.skip(reason="the original is not installed: extra oracles")


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    """What the original computed."""
    folder = tmp_path_factory.mktemp("originals")
    run_originals("mixture_originals", folder)
    return np.load(folder / "mixture_of_experts.npz")


def ours(arrays, of=""):
    """[router, gate, up, down] of the weights, or of their gradients."""
    router = arrays[f"{of}gate.weight"].T
    gate, up = np.split(arrays[f"{of}experts.gate_up_proj"].transpose(0, 2, 1), 2, axis=-1)
    return [router, gate, up, arrays[f"{of}experts.down_proj"].transpose(0, 2, 1)]


def test_values_and_gradients(arrays):
    layer = MixtureOfExperts(EXPERTS, CHOSEN, HIDDEN)
    layer.build((None, None, WIDTH))
    layer.set_weights(ours(arrays))
    mask = ops.convert_to_tensor(arrays["mask"])

    def call(x):
        y, probabilities = layer(x)
        _, others = layer(1 - 2 * x)
        routers = ops.stack([probabilities, others])
        return y, load_balancing_loss(routers, CHOSEN, mask)

    upstreams = [arrays["upstream"], np.ones(())]
    outputs, gradients = outputs_and_gradients(layer, [arrays["x"]], upstreams, call)
    assert_close(outputs, [arrays["y"], arrays["balance"]], tolerance=4e-6)
    expected = [arrays["gradient of x"], *ours(arrays, "gradient of ")]
    assert_close(gradients, expected, tolerance=4e-6)
