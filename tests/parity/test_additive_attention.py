"""Additive attention against SpeechBrain's, at random weights: values and gradients.

That adds biases to query and keys, multiplies the scores by a scaling and puts a dense layer behind
the context, which the paper's equations have not. Here its biases are zero, its scaling is one and
that layer gives what it gets: then both have one formula. "enc" are our keys, "dec" is our query.
"""

import importlib.util

import numpy as np
import pytest
from keras import ops

from custom_layers import AdditiveAttention
from tests.parity.attention_originals import COMPARED, KEY_TIME, KEY_WIDTH, QUERY_WIDTH, UNITS
from tests.parity.processes import run_originals
from tests.recurrent import assert_close, outputs_and_gradients

if any(importlib.util.find_spec(each) is None for each in ("speechbrain", "torch")):
    pytestmark = pytest.mark.skip(reason="the original is not installed: speechbrain, torch")


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    """What the original computed."""
    folder = tmp_path_factory.mktemp("originals")
    run_originals("attention_originals", folder)
    return np.load(folder / "additive_attention.npz")


def test_values_and_gradients(arrays):
    layer = AdditiveAttention(UNITS)
    layer.build((None, None, QUERY_WIDTH), (None, None, KEY_WIDTH))
    layer.set_weights([arrays[name].T for name in COMPARED])  # of query, keys and score
    mask = np.arange(KEY_TIME) < arrays["lengths"][:, None]
    outputs, gradients = outputs_and_gradients(
        layer, [arrays["query"], arrays["keys"]],
        [arrays["upstream of context"], arrays["upstream of weights"]],
        call=lambda *inputs: layer(*inputs, keys_mask=ops.convert_to_tensor(mask)),
    )  # fmt: skip
    context, weights = outputs
    assert_close([context, weights], [arrays["context"], arrays["weights"]], tolerance=4e-6)
    assert not weights[~np.broadcast_to(mask[:, None], weights.shape)].any()
    expected = [arrays[f"gradient of {name}"] for name in ("query", "keys")]
    expected += [arrays[f"gradient of {name}"].T for name in COMPARED]
    assert_close(gradients, expected, tolerance=4e-6)
