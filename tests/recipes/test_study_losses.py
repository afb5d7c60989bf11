"""The formulas beside NumPy, PyTorch and scikit-learn, and the estimates beside SciPy."""

import keras
import numpy as np
import pytest
import sklearn.metrics
from keras import ops
from scipy import stats

from recipes import study_losses as study


def value(loss, *arrays):
    return float(ops.convert_to_numpy(loss(*map(ops.convert_to_tensor, arrays))))


@pytest.fixture
def random():
    return np.random.default_rng(5)


def test_mean_squared_error(random):
    targets, outputs = random.normal(size=(2, 9, 3)).astype("float32")
    expected = sklearn.metrics.mean_squared_error(targets, outputs)
    assert value(study.mean_squared_error, targets, outputs) == pytest.approx(expected, rel=1e-6)


def test_binary_cross_entropy(random):
    targets = random.integers(2, size=(9, 3)).astype("float32")
    logits = random.normal(size=(9, 3)).astype("float32")
    probabilities = 1 / (1 + np.exp(-logits))
    expected = sklearn.metrics.log_loss(targets.ravel(), probabilities.ravel().astype("float64"))
    found = value(study.binary_cross_entropy, targets, probabilities)
    assert found == pytest.approx(expected, rel=1e-6)
    found = value(study.binary_cross_entropy_of_logits, targets, logits)
    assert found == pytest.approx(expected, rel=1e-6)


def test_cross_entropy(random):
    labels = random.integers(4, size=9)
    targets = np.eye(4, dtype="float32")[labels]
    logits = random.normal(size=(9, 4)).astype("float32")
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    expected = sklearn.metrics.log_loss(labels, probabilities.astype("float64"), labels=range(4))
    assert value(study.cross_entropy, targets, probabilities) == pytest.approx(expected, rel=1e-6)
    found = value(study.cross_entropy_of_logits, targets, logits)
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("logit", [-1e4, -200.0, 0.0, 200.0, 1e4])
def test_any_logit_has_a_finite_loss(logit):
    logits = np.full((1, 1), logit, "float32")
    for target in (0.0, 1.0):
        targets = np.full((1, 1), target, "float32")
        found = value(study.binary_cross_entropy_of_logits, targets, logits)
        expected = np.logaddexp(0, logit) - target * logit
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-12)
        pair = np.concatenate([0 * logits, logits], axis=-1)
        targets = np.eye(2, dtype="float32")[[int(target)]]
        found = value(study.cross_entropy_of_logits, targets, pair)
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_the_loss_of_the_logit_is_told_beside_that_of_the_probability():
    assert study.hopeless() == (200, np.inf)


def test_what_is_compared_with_keras_is_not_compared_with_itself(random):
    compared = study.compared(random)
    assert len(compared) == 5
    for ours, theirs, arguments in compared.values():
        assert isinstance(theirs, keras.losses.Loss)
        found = value(ours, *arguments)
        assert found == pytest.approx(value(theirs, *arguments), rel=1e-5)
        swapped = value(ours, arguments[0], np.roll(arguments[1], 1, axis=0))
        assert found != pytest.approx(swapped, rel=1e-3)


def test_chances_of_a_coin_and_of_a_die():
    coin = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    coin.set_weights([np.array([[np.log(3)]])])  # odds of 3 to 1
    np.testing.assert_allclose(study.chances(coin), [0.25, 0.75], rtol=1e-6)
    die = keras.Sequential([keras.Input((1,)), keras.layers.Dense(3, use_bias=False)])
    die.set_weights([np.log([[1.0, 2, 5]])])
    np.testing.assert_allclose(study.chances(die), [1 / 8, 2 / 8, 5 / 8], rtol=1e-6)


def test_likelihood_is_that_of_the_multinomial_but_for_a_constant():
    counts = np.array([3, 1, 6])
    one, other = np.array([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]])
    expected = stats.multinomial.logpmf(counts, 10, one) - stats.multinomial.logpmf(
        counts, 10, other
    )
    found = study.log_likelihood(counts, np.stack([one, other]))
    assert found[0] - found[1] == pytest.approx(expected, rel=1e-9)
