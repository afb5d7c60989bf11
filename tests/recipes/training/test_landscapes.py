"""The gradients that are worked out, against differences; and the losses, against Keras's."""

import keras
import numpy as np
import pytest
from scipy import optimize, special, stats

from recipes.training import landscapes, optimizers
from recipes.training.landscapes import PLANES, TASKS, Plane, arrival


@pytest.fixture
def batches():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (5, 28, 28, 1)).astype("uint8")
    rare = landscapes.draw_rare(random, 50, landscapes.draw_signs(random))
    return {"network": (images, np.array([0, 3, 9, 3, 5])), "rare": rare}


def somewhere(model):
    random = np.random.default_rng(1)
    return [random.normal(0, 0.3, each.shape) for each in model.get_weights()]


@pytest.mark.parametrize("name", TASKS)
def test_numpys_loss_is_kerass(name, batches):
    task = TASKS[name]
    inputs, labels = batches[name]
    model = task.build()
    weights = somewhere(model)
    model.set_weights(weights)
    expected = keras.ops.convert_to_numpy(task.loss(labels, model(inputs)))
    found, _ = task.differentiate(weights, inputs, labels)
    assert found == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("name", TASKS)
def test_a_tasks_gradient_is_that_of_differences(name, batches):
    differentiate = TASKS[name].differentiate
    weights = somewhere(TASKS[name].build())
    _, gradients = differentiate(weights, *batches[name])
    assert [each.shape for each in gradients] == [each.shape for each in weights]
    random = np.random.default_rng(2)
    for position, array in enumerate(weights):
        direction = random.normal(size=array.shape)

        def loss(length, position=position, array=array, direction=direction):
            moved = [*weights[:position], array + length * direction, *weights[position + 1 :]]
            return differentiate(moved, *batches[name])[0]

        expected = (loss(1e-5) - loss(-1e-5)) / 2e-5
        assert np.sum(gradients[position] * direction) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", PLANES)
def test_a_planes_gradient_is_that_of_differences(name):
    plane = PLANES[name]
    for place in ([0.3, -0.7], [-1.2, 0.4], list(plane.start)):
        expected = optimize.approx_fprime(place, lambda each: plane.height(*each), 1e-8)
        np.testing.assert_allclose(plane.gradient(*place), expected, rtol=1e-4, atol=1e-5)


def test_the_ravine_is_80_times_as_steep_across_as_along():
    assert landscapes.ravine(0.0, 1.0) == 80 * landscapes.ravine(1.0, 0.0) == 40
    plane = PLANES["ravine"]
    assert plane.line == pytest.approx(plane.height(*plane.start) / 100)


def test_the_saddle_has_two_valleys_of_a_quarter():
    for side in (1, -1):
        found = optimize.minimize(lambda place: landscapes.saddle(*place), [0.3, 0.1 * side])
        np.testing.assert_allclose(found.x, [0, side], atol=1e-4)
        assert found.fun == pytest.approx(-0.25)
    assert landscapes.saddle_gradient(0, 0) == (0, 0) and landscapes.saddle(0, 0) == 0
    assert PLANES["saddle"].line == -0.25 / 2


def test_rare_features_are_rare_and_speak_the_louder_for_it():
    random = np.random.default_rng(0)
    signs = landscapes.draw_signs(random)
    assert signs.shape == (200,) and set(signs) == {-1, 1}
    features, answers = landscapes.draw_rare(random, 20_000, signs)
    assert features.dtype == answers.dtype == "float32"
    assert features.shape == (20_000, 200) and answers.shape == (20_000, 1)
    assert set(np.unique(features)) == set(np.unique(answers)) == {0, 1}
    counts = features.sum(axis=0)
    for count, frequency in zip(counts, np.geomspace(0.1, 0.001, 200), strict=True):
        assert stats.binomtest(int(count), 20_000, frequency).pvalue > 1e-5
    # Each feature says as much as any other, over all examples.
    loudness = signs * np.geomspace(0.1, 0.001, 200) ** -0.5
    right = (features @ loudness > 0) == (answers[:, 0] == 1)
    assert stats.binomtest(int(right.sum()), 20_000, 0.9).pvalue > 1e-5


def test_arrival_is_for_good():
    assert arrival([5, 3, 1, 0], 2) == 2
    assert arrival([5, 1, 3, 1], 2) == 3
    assert arrival([5, 4, 3, 3], 2) == 4
    assert arrival([1, 1], 2) == 0
    assert arrival([5, 1, np.nan, 1], 2) == 3


def test_the_rates_are_a_grid_of_1_2_and_5():
    expected = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50]
    np.testing.assert_allclose(landscapes.RATES, expected)


def test_the_fastest_way_is_in_fewest_steps_on_the_line():
    """On half a square gradient descent multiplies a place by 1 - rate: slow, at once, away."""
    plane = Plane(lambda x, y: (x**2 + y**2) / 2, lambda x, y: (x, y), (-1.0, 0.5), 0.01)
    way = landscapes.fastest_way(plane, optimizers.gradient_descent, 5)
    assert way.rate == pytest.approx(1) and way.steps == 1
    assert way.places.tolist() == [[-1, 0.5], [0, 0]]
    steeper = Plane(lambda x, y: 8 * (x**2 + y**2) / 2, lambda x, y: (8 * x, 8 * y), (1.0, 0.0), 1)
    way = landscapes.fastest_way(steeper, optimizers.gradient_descent, 5)
    assert way.rate == pytest.approx(0.1) and way.steps == 1  # a fifth is left, and 8 / 2 / 25
    np.testing.assert_allclose(way.places, [[1, 0], [0.2, 0]])


def test_the_best_rate_has_the_lowest_validation_loss_at_the_end(batches):
    features, answers = batches["rare"]
    start = [np.zeros((200, 1))]
    training = [(features[:15], answers[:15]), (features[15:30], answers[15:30])]
    validation = (features[30:], answers[30:])
    expected = {}
    for rate in landscapes.RATES:
        (weights,) = start
        for inputs, labels in training:
            error = special.expit(inputs @ weights) - labels
            weights = weights - rate * inputs.T @ error / 15
        logits = validation[0] @ weights
        expected[rate] = -np.mean(special.log_expit(np.where(validation[1] == 1, logits, -logits)))
    best = min(expected, key=expected.get)
    assert landscapes.RATES[0] < best < landscapes.RATES[-1]
    formula = optimizers.gradient_descent
    found = landscapes.best_rate(TASKS["rare"], formula, start, training, validation)
    assert found == best


def test_the_best_rate_is_none_that_blew_up(batches):
    def differentiate(weights, scale):
        return float(weights[0] ** 2), [scale * weights[0]]

    task = landscapes.Task(None, None, differentiate)
    found = landscapes.best_rate(
        task, optimizers.gradient_descent, [np.array(1.0)], [(1e200,)] * 4, (1.0,)
    )
    assert found == landscapes.RATES[0]
