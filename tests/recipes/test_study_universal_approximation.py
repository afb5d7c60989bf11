import keras
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from recipes import study_universal_approximation as study
from recipes.data import functions


@pytest.fixture
def values():
    return np.random.default_rng(1).normal(3, 2, (50, 1)).astype("float32")


def test_the_relative_error_is_the_root_of_the_share_of_variance_that_is_left(values):
    predicted = values + np.linspace(-1, 1, 50)[:, None]
    expected = np.sqrt(1 - r2_score(values, predicted))
    assert study.relative_error(predicted, values) == pytest.approx(expected, rel=1e-5)


def test_a_constant_has_an_error_of_1(values):
    constant = np.full_like(values, values.mean())
    assert study.relative_error(constant, values) == pytest.approx(1, rel=1e-5)


def test_the_plane_is_that_of_least_squares():
    train, test = (part[2:] for part in functions.embedded())
    model = LinearRegression().fit(*train)
    expected = np.sqrt(1 - model.score(*test))
    assert study.plane_error(train, test) == pytest.approx(expected, rel=1e-4)


def test_a_network_is_one_hidden_layer():
    """sum over the units of w tanh(a (2 x - 1) + b), plus a bias."""
    model = study.network(2, 5, 6.0, "surface_5")
    kernel, bias, output, last = random_weights(model)
    assert kernel.shape == (2, 5) and output.shape == (5, 1)
    points = np.random.default_rng(2).random((7, 2)).astype("float32")
    expected = np.tanh((2 * points - 1) @ kernel + bias) @ output + last
    result = keras.ops.convert_to_numpy(model(points))
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


def random_weights(model):
    random = np.random.default_rng(3)
    drawn = [random.normal(size=each.shape).astype("float32") for each in model.weights]
    model.set_weights(drawn)
    return drawn


def test_units_begin_as_steep_as_they_are_asked_to():
    kernel, bias, *_ = study.network(1, 500, 40.0, "curve_500").get_weights()
    for each in (kernel, bias):
        assert 35 < each.max() <= 40 and -40 <= each.min() < -35


def test_each_network_sees_its_own_function():
    split = "x", "curve", "places", "surface"
    assert study.part(split, "curve_16") == ("x", "curve")
    assert study.part(split, "surface_linear") == ("places", "surface")
