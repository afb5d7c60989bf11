import keras
import numpy as np
import pytest
from sklearn.metrics import r2_score
from sklearn.neural_network import MLPRegressor

from recipes import study_depth_and_width as study
from recipes.data import composition
from tests.recipes.spies import spied_run


def random_weights(model):
    random = np.random.default_rng(3)
    drawn = [random.normal(size=each.shape).astype("float32") for each in model.weights]
    model.set_weights(drawn)
    return drawn


@pytest.mark.parametrize(("depth", "width"), [(1, 7), (3, 5)])
def test_a_network_is_scikit_learns_perceptron_of_as_many_layers(depth, width):
    points = np.random.default_rng(2).uniform(-1, 1, (20, 2))
    model = study.network(depth, width, "network")
    weights = random_weights(model)
    theirs = MLPRegressor(hidden_layer_sizes=[width] * depth, activation="relu").partial_fit(
        points, points[:, 0]
    )
    assert [each.shape for each in theirs.coefs_] == [each.shape for each in weights[::2]]
    theirs.coefs_, theirs.intercepts_ = weights[::2], weights[1::2]
    result = keras.ops.convert_to_numpy(model(points.astype("float32")))
    assert result.shape == (20, 1)
    np.testing.assert_allclose(result[:, 0], theirs.predict(points), rtol=1e-4, atol=1e-4)


def test_what_is_compared_has_as_many_parameters():
    equal = [study.network(*shape, name).count_params() for name, shape in study.EQUAL.items()]
    # Weights and biases, layer by layer.
    assert equal[0] == 333 * (2 + 1) + 333 + 1
    assert equal[1] == 20 * (2 + 1) + 3 * 20 * (20 + 1) + 20 + 1
    assert equal[2] == 13 * (2 + 1) + 7 * 13 * (13 + 1) + 13 + 1
    assert max(equal) <= 1.02 * min(equal)
    (wide,) = study.FOUR_TIMES_AS_WIDE.values()
    assert study.network(*wide, "wide").count_params() / equal[0] == pytest.approx(4, rel=0.01)


def test_biases_begin_within_one_over_the_root_of_the_inputs():
    first, second = study.network(2, 400, "network").layers[1:3]
    for layer, limit in ((first, 2**-0.5), (second, 400**-0.5)):
        bias = keras.ops.convert_to_numpy(layer.bias)
        assert 0.9 * limit < bias.max() <= limit and -limit <= bias.min() < -0.9 * limit


def test_an_error_is_the_root_of_the_share_of_variance_that_is_left():
    random = np.random.default_rng(1)
    points = random.uniform(-1, 1, (50, 2)).astype("float32")
    values = random.normal(3, 2, (50, 1)).astype("float32")
    model = study.network(1, 6, "network")
    random_weights(model)
    predicted = keras.ops.convert_to_numpy(model(points))
    assert np.abs(predicted - values).mean() > 0.5
    # r2 is 1 less the share of variance that is left.
    expected = np.sqrt(1 - r2_score(values, predicted))
    found = study.errors({"a": model, "b": lambda _: values}, (points, values))
    assert found["a"] == pytest.approx(expected, rel=1e-5)
    assert found["b"] == 0


def test_its_figures_are_those_of_its_model(tmp_path, monkeypatch):
    run, batches = spied_run(monkeypatch, study, tmp_path)("--epochs", "1", "--batch-size", "900")
    model = keras.models.load_model(run.folder / "model.keras")
    points, values = composition.embedded()[1]
    expected = np.sqrt(1 - r2_score(values, model.predict(points, verbose=0)))
    assert run.test["test_depth_8_error"] == pytest.approx(expected, rel=1e-4)
    # All four see the same points.
    assert len(batches) == 4 * len(run.steps) == 4 * 10
    for first, *others in zip(*[iter(batches)] * 4, strict=True):
        assert all(np.array_equal(other[0], first[0]) for other in others)
