"""The gradients that are worked out, against differences; and the losses, against SciPy's."""

import numpy as np
import pytest
from scipy import optimize, special, stats

from recipes.training import landscapes, optimizers
from recipes.training.landscapes import PLANES, Plane, arrival


def cross_entropy_of_network(weights, images, labels):
    """By SciPy."""
    kernel, bias, output_kernel, output_bias = weights
    hidden = np.tanh(images.reshape(len(images), 784) / 255 @ kernel + bias)
    said = special.log_softmax(hidden @ output_kernel + output_bias, axis=1)
    return -np.mean(said[np.arange(len(labels)), labels])


def cross_entropy_of_linear(weights, features, answers):
    logits = features @ weights[0]
    return -np.mean(special.log_expit(np.where(answers == 1, logits, -logits)))


def network_case(random):
    shapes = [(784, 16), (16,), (16, 10), (10,)]
    images = random.integers(0, 256, (5, 28, 28, 1)).astype("uint8")
    return shapes, (images, np.array([0, 3, 9, 3, 5]))


def linear_case(random):
    return [(200, 1)], landscapes.draw_rare(random, 50, landscapes.draw_signs(random))


@pytest.mark.parametrize(
    ("differentiate", "expected_loss", "case"),
    [
        (landscapes.differentiate_network, cross_entropy_of_network, network_case),
        (landscapes.differentiate_linear, cross_entropy_of_linear, linear_case),
    ],
)
def test_a_loss_is_scipys_and_its_gradient_that_of_differences(differentiate, expected_loss, case):
    random = np.random.default_rng(0)
    shapes, batch = case(random)
    weights = [random.normal(0, 0.3, shape) for shape in shapes]
    found, gradients = differentiate(weights, *batch)
    assert found == pytest.approx(expected_loss(weights, *batch), rel=1e-9)
    assert [each.shape for each in gradients] == shapes
    for position, array in enumerate(weights):
        direction = random.normal(size=array.shape)

        def loss(length, position=position, array=array, direction=direction):
            moved = [*weights[:position], array + length * direction, *weights[position + 1 :]]
            return expected_loss(moved, *batch)

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


def test_the_best_result_has_the_lowest_validation_loss():
    random = np.random.default_rng(0)
    features, answers = landscapes.draw_rare(random, 50, landscapes.draw_signs(random))
    start = [np.zeros((200, 1))]
    training = [(features[:15], answers[:15]), (features[15:30], answers[15:30])]
    validation = (features[30:], answers[30:])
    learned = {}
    for rate in landscapes.RATES:
        (weights,) = start
        for inputs, labels in training:
            error = special.expit(inputs @ weights) - labels
            weights = weights - rate * inputs.T @ error / 15
        learned[rate] = [weights]
    best = min(learned, key=lambda rate: cross_entropy_of_linear(learned[rate], *validation))
    assert landscapes.RATES[0] < best < landscapes.RATES[-1]
    found = landscapes.best_result(
        landscapes.differentiate_linear, optimizers.gradient_descent, start, training, validation
    )
    assert found.rate == best
    np.testing.assert_allclose(found.weights[0], learned[best][0], rtol=1e-9)


def test_the_best_result_is_none_that_is_not_a_number():
    def differentiate(weights, _, rate_of_nan):
        """Falls as the weight does, until it is too low."""
        return np.where(weights[0] < rate_of_nan, np.nan, weights[0]), [np.array(1.0)]

    found = landscapes.best_result(
        differentiate, optimizers.gradient_descent, [np.array(0.0)], [(0, 0)], (0, -0.3)
    )
    assert found.rate == pytest.approx(0.2) and found.weights == [pytest.approx(-0.2)]
