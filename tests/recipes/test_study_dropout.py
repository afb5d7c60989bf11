"""What the study of dropout measures of a network, against other ways to measure it."""

import keras
import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score

from recipes import study_dropout
from recipes.study_dropout import accuracies_as_units_go, standard_errors_off
from zoo.feedforward.mlp import mlp


@pytest.fixture
def network():
    keras.utils.set_random_seed(0)
    model = mlp(num_classes=3, input_shape=(8,), widths=(12, 9), input_dropout_rate=0)
    for layer in ("hidden1_dense", "hidden2_dense", "output"):
        bias = model.get_layer(layer).bias
        bias.assign(np.linspace(-0.5, 0.5, len(bias)))
    return model


@pytest.fixture
def examples():
    return np.random.default_rng(0).normal(size=(200, 8)).astype("float32")


def test_a_unit_that_goes_is_one_with_no_weights(network, examples):
    labels = np.random.default_rng(1).integers(3, size=len(examples))
    found = accuracies_as_units_go(network, (examples, labels), seed=5)

    output = network.get_layer("output")
    weights = output.get_weights()
    random = np.random.default_rng(5)
    expected = []
    for _ in range(study_dropout.ORDERS):
        kernel = weights[0].copy()
        accuracies = []
        for unit in [None, *random.permutation(9)]:
            if unit is not None:
                kernel[unit] = 0
            output.set_weights([kernel, weights[1]])
            predicted = network.predict(examples, verbose=0).argmax(axis=-1)
            accuracies.append(accuracy_score(labels, predicted))
        expected.append(accuracies)
    np.testing.assert_allclose(found, np.mean(expected, axis=0), rtol=0, atol=1e-3)
    assert len(np.unique(found)) > 5


def test_deviations_are_the_statistics_of_a_t_test(network, examples):
    found = standard_errors_off(network, examples[:1], rate=0.3, seed=4)

    first, second = network.get_layer("hidden1_dense"), network.get_layer("hidden2_dense")
    kernel, bias = first.get_weights()
    hidden = np.maximum(examples[:1] @ kernel + bias, 0)
    dropped = study_dropout.Dropout(0.3, seed=4)(
        np.repeat(hidden, study_dropout.MASKS, axis=0), training=True
    )
    received = keras.ops.convert_to_numpy(second(dropped)).astype("float64")
    expected = keras.ops.convert_to_numpy(second(hidden))[0]
    np.testing.assert_allclose(
        found, stats.ttest_1samp(received, expected).statistic, rtol=1e-3, atol=1e-3
    )
    assert 0.5 < np.std(found) < 2
    assert np.abs(found).max() < study_dropout.STANDARD_ERRORS


def test_without_the_scale_the_input_is_another(network, examples, monkeypatch):
    def unscaled(rate, seed):
        layer = keras.layers.Dropout(rate, seed=seed)
        return lambda inputs, training: layer(inputs, training=training) * (1 - rate)

    monkeypatch.setattr(study_dropout, "Dropout", unscaled)
    found = standard_errors_off(network, examples[:1], rate=0.3, seed=4)
    assert np.abs(found).max() > 4 * study_dropout.STANDARD_ERRORS
