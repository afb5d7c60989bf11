"""Sequence-to-sequence networks against PyTorch's, at random weights: values and gradients."""

import importlib.util

import numpy as np
import pytest
from keras import ops

from recipes.training.gradient_step import gradient_step
from recipes.training.kept_gradients import KeptGradients
from tests.parity import seq2seq_originals as sizes
from tests.parity.processes import run_originals
from tests.recurrent import assert_close
from zoo.recurrent.seq2seq_bahdanau import seq2seq_bahdanau
from zoo.recurrent.seq2seq_luong import seq2seq_luong

ARGUMENTS = {
    "source_vocabulary_size": sizes.SOURCE_TOKENS, "target_vocabulary_size": sizes.TARGET_TOKENS,
    "embedding_width": sizes.EMBEDDING, "width": sizes.UNITS, "dropout_rate": 0.0,
}  # fmt: skip

if importlib.util.find_spec("torch") is None:
    pytestmark = pytest.mark.skip(reason="the originals are not installed: extra torch")


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """The folder of what the originals computed."""
    folder = tmp_path_factory.mktemp("originals")
    run_originals("seq2seq_originals", folder)
    return folder


def recurrent(arrays, prefix, suffix="", kind=""):
    """[kernel, recurrent kernel, bias] of one of PyTorch's layers in our layout, or gradients."""
    names = [f"{part}{suffix}" for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    weights = [arrays[f"{kind}name/{prefix}.{name}"] for name in names]
    if prefix in ("encoder", "cell") and len(weights[1]) == 3 * sizes.UNITS:  # gates r, z, n
        weights = [np.concatenate([z, r, n]) for r, z, n in (np.split(each, 3) for each in weights)]
        bias = np.stack(weights[2:])
    else:  # one bias, the sum of PyTorch's two, each of which has its gradient
        bias = weights[2] if kind else weights[2] + weights[3]
    return [weights[0].T, weights[1].T, bias]


def linear(arrays, prefix, kind=""):
    names = [f"{kind}name/{prefix}.{part}" for part in ("weight", "bias")]
    return [arrays[name].T for name in names if name in arrays]


def layers_of(name, arrays, kind=""):
    """{name of our layer: its weights, or their gradients}."""
    found = {
        f"{side}_embedding": [arrays[f"{kind}name/{side}_embedding.weight"]]
        for side in ("source", "target")
    }
    if name == "seq2seq_luong":
        for side in ("encoder", "decoder"):
            for index in (0, 1):
                found[f"{side}{index + 1}"] = recurrent(arrays, side, f"_l{index}", kind)
        (attention,) = linear(arrays, "attention", kind)
        found["attention"] = [attention.T]  # it projects the query here, and the keys there
        dense = ("attentional", "output")
    else:
        ways = [recurrent(arrays, "encoder", suffix, kind) for suffix in ("_l0", "_l0_reverse")]
        found["encoder"] = [*ways[0], *ways[1]]
        attention = [*linear(arrays, "query", kind), *linear(arrays, "score", kind)]
        found["decoder"] = [*attention, *recurrent(arrays, "cell", "", kind)]
        dense = ("initial_state", "keys", "readout_a", "readout_b", "output")
    return found | {layer: linear(arrays, layer, kind) for layer in dense}


@pytest.mark.parametrize("name", ["seq2seq_bahdanau", "seq2seq_luong"])
def test_values_and_gradients(name, originals):
    arrays = np.load(originals / f"{name}.npz")
    if name == "seq2seq_luong":
        model = seq2seq_luong(depth=2, **ARGUMENTS)
    else:
        model = seq2seq_bahdanau(
            attention_width=sizes.ATTENTION, readout_width=sizes.READOUT, **ARGUMENTS
        )
    weights = layers_of(name, arrays)
    assert {layer.name for layer in model.layers if layer.weights} == weights.keys()
    for layer, values in weights.items():
        model.get_layer(layer).set_weights(values)

    def compute_loss(sources, targets, upstream):
        logits = model([sources, targets], training=True)
        return ops.sum(upstream * logits), logits

    recorder = KeptGradients()
    step = gradient_step(compute_loss, model, recorder)
    valid = (arrays["targets"] != 0)[..., None]
    tokens = [arrays[key].astype("int32") for key in ("sources", "targets")]
    _, logits = step(*tokens, (arrays["upstream"] * valid).astype("float32"))
    assert_close([ops.convert_to_numpy(logits) * valid], [arrays["logits"]], tolerance=1e-5)
    gradients = {
        id(variable): ops.convert_to_numpy(gradient)
        for variable, gradient in zip(model.trainable_variables, recorder.gradients, strict=True)
    }
    for layer, expected in layers_of(name, arrays, "gradient of ").items():
        ours = [gradients[id(variable)] for variable in model.get_layer(layer).weights]
        assert_close(ours, expected, tolerance=1e-5)
