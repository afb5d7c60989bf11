import keras
import numpy as np
import pytest
from scipy import optimize, stats
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import mean_squared_error

from recipes import study_weight_decay as study
from recipes.data import diabetes

PENALTIES = np.geomspace(0.01, 10, 10)


@pytest.fixture(scope="module")
def data():
    """(inputs, targets), with means that are not 0, as those of a batch's or of raw data."""
    inputs, targets = diabetes.embedded()[0]
    return inputs + np.float32(0.5), targets - np.float32(2)


def ridge_of_scikit_learn(inputs, targets, penalties):
    """It has one penalty, 1 here: weights of columns divided by a root cost as the root tells."""
    roots = np.sqrt(penalties)
    model = Ridge(alpha=len(inputs)).fit(inputs.astype("float64") / roots, targets.ravel())
    return model.coef_ / roots


@pytest.mark.parametrize("penalty", [1e-3, 0.3, 5.0])
def test_ridge_regression_is_that_of_scikit_learn(data, penalty):
    inputs, targets = data
    model = Ridge(alpha=penalty * len(inputs)).fit(inputs.astype("float64"), targets.ravel())
    np.testing.assert_allclose(study.ridge(*data, penalty), model.coef_, rtol=1e-5, atol=1e-7)


def test_ridge_regression_without_a_penalty_and_with_one_for_each_weight(data):
    inputs, targets = data
    model = LinearRegression().fit(inputs.astype("float64"), targets.ravel())
    np.testing.assert_allclose(study.ridge(*data, 0), model.coef_, rtol=1e-5, atol=1e-6)
    expected = ridge_of_scikit_learn(*data, PENALTIES)
    np.testing.assert_allclose(study.ridge(*data, PENALTIES), expected, rtol=1e-5, atol=1e-7)


def test_it_is_the_most_probable_where_weights_are_gaussian():
    """The derivation of the header: noise of variance a, weights of variance b beforehand."""
    random = np.random.default_rng(0)
    inputs = random.standard_normal((40, 3))
    inputs -= inputs.mean(axis=0)
    a, b = 0.5, 0.02
    targets = inputs @ random.normal(0, np.sqrt(b), 3) + random.normal(0, np.sqrt(a), 40)
    targets -= targets.mean()

    def surprise(w):
        """-log p(w | examples), but for a constant."""
        likelihood = stats.norm.logpdf(targets, inputs @ w, np.sqrt(a)).sum()
        return -likelihood - stats.norm.logpdf(w, 0, np.sqrt(b)).sum()

    found = optimize.minimize(surprise, np.zeros(3), tol=1e-10).x
    ridge = study.ridge(inputs, targets[:, None], a / (40 * b))
    np.testing.assert_allclose(ridge, found, atol=1e-5)


def test_the_penalty_that_acted_is_read_from_the_weights(data):
    penalties = np.where(study.UNITS > 1, 0.7, 0.2)
    weights = ridge_of_scikit_learn(*data, penalties)
    for chosen, expected in ((study.UNITS > 1, 0.7), (study.UNITS == 1, 0.2)):
        assert study.acting_penalty(*data, weights, chosen) == pytest.approx(expected, rel=1e-3)


def test_gradients_have_the_size_that_adam_takes_for_it():
    """The root of the mean of their squares, of which one counts 0.1 % less than the next."""
    random = np.random.default_rng(0)
    gradients = random.standard_normal((30, 10, 1)).astype("float32")
    model = study.linear()
    adam = keras.optimizers.Adam(0.1)
    adam.build(model.trainable_variables)
    for gradient in gradients:
        adam.apply([keras.ops.convert_to_tensor(each) for each in (gradient, gradient[0])])
    mean = np.average(gradients[..., 0] ** 2, axis=0, weights=0.999 ** np.arange(30)[::-1])
    np.testing.assert_allclose(study.gradient_sizes(adam), np.sqrt(mean), rtol=1e-4)


def test_a_model_begins_at_zero_and_has_its_units():
    random = np.random.default_rng(0)
    inputs = random.standard_normal((7, 10)).astype("float32")
    targets = random.standard_normal((7, 1)).astype("float32")
    model = study.linear(study.UNITS)
    half = mean_squared_error(targets, np.zeros((7, 1))) / 2
    assert study.error(model, (inputs, targets)) == pytest.approx(half, rel=1e-5)
    kernel = random.standard_normal((10, 1)).astype("float32")
    model.set_weights([kernel, np.array([0.5], "float32")])
    np.testing.assert_array_equal(study.weights_of(model), kernel[:, 0])
    predicted = (inputs * ([4, 1] * 5)) @ kernel + 0.5
    half = mean_squared_error(targets, predicted) / 2
    assert study.error(model, (inputs, targets)) == pytest.approx(half, rel=1e-5)


def test_a_distance_is_relative_to_what_is_expected():
    assert study.distance(np.array([3.0, 4.5]), np.array([3.0, 4.0])) == pytest.approx(0.1)
