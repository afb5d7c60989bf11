"""Curves, means and norms of the study against closed forms."""

import math

import keras
import numpy as np
import pytest
from scipy import stats

from recipes.study_activations import ACTIVATIONS, INPUTS, curve, layer_norms, mean_output, network

X = INPUTS.astype("float64")
SIGMOID = 1 / (1 + np.exp(-X))
CLOSED_FORMS = {  # (outputs, slopes, mean output of a standard normal input)
    "sigmoid": (SIGMOID, SIGMOID * (1 - SIGMOID), 0.5),
    "tanh": (np.tanh(X), 1 - np.tanh(X) ** 2, 0),
    "relu": (np.maximum(X, 0), (X > 0).astype(float), 1 / math.sqrt(2 * math.pi)),
    "leaky_relu": (
        np.where(X > 0, X, 0.01 * X),
        np.where(X > 0, 1, 0.01),
        0.99 / math.sqrt(2 * math.pi),
    ),
    "gelu": (
        X * stats.norm.cdf(X),
        stats.norm.cdf(X) + X * stats.norm.pdf(X),
        1 / (2 * math.sqrt(math.pi)),  # Stein's lemma: E[x g(x)] = E[g'(x)]
    ),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_curves_slopes_and_means(name):
    activation, _ = ACTIVATIONS[name]
    outputs, slopes, mean = CLOSED_FORMS[name]
    found = curve(activation())
    np.testing.assert_allclose(found[0], outputs, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found[1], slopes, rtol=1e-5, atol=1e-5)
    assert mean_output(found[0]) == pytest.approx(mean, abs=1e-3)


def test_a_network_has_20_hidden_layers_and_their_norms_are_in_order():
    model = network("tanh")
    kernels = [each for each in model.weights if len(each.shape) == 2]
    assert [each.shape[-1] for each in kernels] == [64] * 20 + [10]
    gradients = [np.full(each.shape, place, "float32") for place, each in enumerate(model.weights)]
    expected = [2 * place * math.sqrt(math.prod(each.shape)) for place, each in enumerate(kernels)]
    assert layer_norms(gradients) == pytest.approx(expected[:-1])


@pytest.mark.parametrize(("name", "variance"), [("tanh", 1 / 64), ("leaky_relu", 2 / 64)])
def test_weights_begin_as_proposed(name, variance):
    keras.utils.set_random_seed(0)
    kernels = [each for each in network(name).get_weights() if each.shape == (64, 64)]
    assert np.var(np.stack(kernels)) == pytest.approx(variance, rel=0.05)
