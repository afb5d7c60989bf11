"""The formulas, against torch.optim, Keras and the papers' own words."""

from functools import partial

import keras
import numpy as np
import pytest
import torch

from recipes.training import optimizers

RATE = 0.01
TORCH = {
    optimizers.gradient_descent: partial(torch.optim.SGD),
    optimizers.momentum: partial(torch.optim.SGD, momentum=0.9),
    optimizers.nesterov: partial(torch.optim.SGD, momentum=0.9, nesterov=True),
    # torch adds its epsilon to the root, and Keras to what is under it.
    optimizers.rmsprop: partial(torch.optim.RMSprop, alpha=0.9, eps=1e-7),
    optimizers.adam: partial(torch.optim.Adam, eps=1e-7),
    optimizers.adamw: partial(torch.optim.AdamW, eps=1e-7, weight_decay=0.004),
}
KERAS = {
    optimizers.gradient_descent: keras.optimizers.SGD,
    optimizers.momentum: partial(keras.optimizers.SGD, momentum=0.9),
    optimizers.nesterov: partial(keras.optimizers.SGD, momentum=0.9, nesterov=True),
    optimizers.rmsprop: keras.optimizers.RMSprop,
    optimizers.adam: keras.optimizers.Adam,
    optimizers.adamw: keras.optimizers.AdamW,
}
FORMULAS = list(TORCH)


@pytest.fixture
def start_and_gradients():
    random = np.random.default_rng(0)
    signs = random.choice([-1.0, 1.0], (100, 3, 5))
    return random.normal(size=(3, 5)), signs * random.uniform(0.5, 1.5, (100, 3, 5))


def path_of(formula, weights, gradients):
    state, path = optimizers.new_state(), []
    for gradient in gradients:
        weights = weights + formula(state, gradient, weights, RATE)
        path.append(weights)
    return np.array(path)


@pytest.mark.parametrize("formula", FORMULAS)
def test_is_torchs_over_100_steps(formula, start_and_gradients):
    start, gradients = start_and_gradients
    weights = torch.tensor(start, requires_grad=True)  # float64
    optimizer = TORCH[formula]([weights], lr=RATE)
    path = []
    for gradient in gradients:
        weights.grad = torch.tensor(gradient)
        optimizer.step()
        path.append(weights.detach().numpy().copy())
    tolerance = 1e-6 if formula is optimizers.rmsprop else 1e-12
    np.testing.assert_allclose(
        path_of(formula, start, gradients), path, rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("formula", FORMULAS)
def test_is_kerass_over_100_steps(formula, start_and_gradients):
    start, gradients = start_and_gradients
    variable = keras.Variable(start.astype("float32"))
    optimizer = KERAS[formula](RATE)
    path = []
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient.astype("float32"))], [variable])
        path.append(keras.ops.convert_to_numpy(variable).copy())
    np.testing.assert_allclose(path_of(formula, start, gradients), path, rtol=0, atol=1e-5)


def test_nesterov_is_momentum_with_the_gradient_ahead():
    """Sutskever et al. 2013, equations 3 and 4; our weights are where the gradient is taken."""
    curvatures = np.array([1.0, 30.0])
    theta, velocity = np.array([1.0, -1.0]), np.zeros(2)
    weights, state = theta, optimizers.new_state()
    for _ in range(50):
        np.testing.assert_allclose(weights, theta + 0.9 * velocity, rtol=1e-10, atol=1e-14)
        velocity = 0.9 * velocity - RATE * curvatures * (theta + 0.9 * velocity)
        theta = theta + velocity
        weights = weights + optimizers.nesterov(state, curvatures * weights, weights, RATE)


def test_adams_first_step_has_the_size_of_the_rate():
    """Kingma and Ba 2014, section 2.1: whatever the size of the gradient."""
    gradient = np.array([1e-2, -3.0, 1e4])
    step = optimizers.adam(optimizers.new_state(), gradient, np.zeros(3), RATE)
    np.testing.assert_allclose(step, -RATE * np.sign(gradient), rtol=1e-4)


def test_adamws_weights_decay_where_there_is_no_gradient():
    state, weights = optimizers.new_state(), np.array([2.0, -4.0])
    step = optimizers.adamw(state, np.zeros(2), weights, 0.5, weight_decay=0.1)
    np.testing.assert_allclose(step, [-0.1, 0.2])


def test_descend_on_a_parabola():
    """Gradient descent on c w**2 / 2 multiplies w by 1 - rate c; each array has its own state."""

    def differentiate(weights, curvature):
        return (
            sum(float(curvature * np.sum(array**2) / 2) for array in weights),
            [curvature * array for array in weights],
        )

    start = [np.array([1.0]), np.array([[2.0, 4.0]])]
    losses, path = optimizers.descend(
        optimizers.gradient_descent, differentiate, start, 0.25, [(1.0,), (2.0,), (1.0,)]
    )
    factors = np.array([1, 0.75, 0.375, 0.28125])
    np.testing.assert_allclose(losses, np.array([1.0, 2, 1]) * factors[:3] ** 2 * 21 / 2)
    assert len(path) == 4
    for factor, weights in zip(factors, path, strict=True):
        for array, first in zip(weights, start, strict=True):
            np.testing.assert_allclose(array, factor * first)

    together = optimizers.descend(optimizers.adam, differentiate, start, 0.1, [(1.0,)] * 20)[1][-1]
    for array, first in zip(together, start, strict=True):
        (alone,) = optimizers.descend(optimizers.adam, differentiate, [first], 0.1, [(1.0,)] * 20)[
            1
        ][-1]
        np.testing.assert_array_equal(array, alone)
