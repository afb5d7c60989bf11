"""Multi-head attention against PyTorch's, at random weights: values and gradients.

That has the matrices of queries, keys and values below each other, unless what it looks at has a
width of its own, their biases below each other, and outputs before inputs.
"""

import importlib.util

import numpy as np
import pytest
from keras import ops

from custom_layers import MultiHeadAttention
from tests.parity.multi_head_attention_originals import CASES, HEADS
from tests.parity.processes import run_originals
from tests.recurrent import assert_close, outputs_and_gradients

if importlib.util.find_spec("torch") is None:
    pytestmark = pytest.mark.skip(reason="the original is not installed: extra torch")


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """The folder of what the originals computed."""
    folder = tmp_path_factory.mktemp("originals")
    run_originals("multi_head_attention_originals", folder)
    return folder


def in_our_order(arrays, of=""):
    """Kernel and bias of queries, keys, values and output, or their gradients."""
    if f"{of}in_proj_weight" in arrays:
        kernels = np.split(arrays[f"{of}in_proj_weight"], 3)
    else:
        kernels = [arrays[f"{of}{part}_proj_weight"] for part in "qkv"]
    kernels.append(arrays[f"{of}out_proj.weight"])
    biases = [*np.split(arrays[f"{of}in_proj_bias"], 3), arrays[f"{of}out_proj.bias"]]
    return [each for pair in zip(kernels, biases, strict=True) for each in (pair[0].T, pair[1])]


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name, originals):
    arrays, case = np.load(originals / f"{name}.npz"), CASES[name]
    given = [arrays[key] for key in ("inputs", "memory") if key in arrays]
    layer = MultiHeadAttention(HEADS, causal=case.causal)
    layer.build(given[0].shape, given[-1].shape)
    layer.set_weights(in_our_order(arrays))
    mask = ops.convert_to_tensor(arrays["inside"]) if case.lengths else None

    outputs, gradients = outputs_and_gradients(
        layer, given, [arrays["upstream of output"], arrays["upstream of weights"]],
        call=lambda *given: layer(given[0], given[-1], memory_mask=mask),
    )  # fmt: skip
    assert_close(outputs, [arrays["output"], arrays["weights"]], tolerance=4e-6)
    expected = [arrays[f"gradient of {key}"] for key in ("inputs", "memory") if key in arrays]
    expected += in_our_order(arrays, "gradient of ")
    # A bias of the keys moves all scores of a query alike: its gradient is zero.
    position = len(given) + [each.name for each in layer.trainable_weights].index("key_bias")
    for each in (gradients, expected):
        assert np.abs(each.pop(position)).max() < 1e-5
    assert_close(gradients, expected, tolerance=4e-6)
