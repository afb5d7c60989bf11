"""Kept gradients against the chain rule in NumPy."""

import keras
import numpy as np
from keras import layers, ops

from recipes.training.gradient_step import gradient_step
from recipes.training.kept_gradients import KeptGradients, gradients_of

ROWS = np.random.default_rng(0).normal(size=(3, 8, 4)).astype("float32")  # three batches
TARGETS = np.random.default_rng(1).normal(size=(3, 8, 2)).astype("float32")


def made():
    """(network of two layers, its mean squared error)."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(5, activation="tanh"), layers.Dense(2)]
    )

    def compute_loss(rows, targets):
        return ops.mean((model(rows, training=True) - targets) ** 2)

    return model, compute_loss


def by_the_chain_rule(weights, rows, targets):
    kernel, bias, output_kernel, output_bias = (each.astype("float64") for each in weights)
    hidden = np.tanh(rows @ kernel + bias)
    error = 2 * (hidden @ output_kernel + output_bias - targets) / targets.size
    below = error @ output_kernel.T * (1 - hidden**2)
    return [rows.T @ below, below.sum(axis=0), hidden.T @ error, error.sum(axis=0)]


def assert_close(gradients, expected):
    for each, one in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(each), one, rtol=1e-5, atol=1e-7)


def test_they_are_those_of_the_chain_rule_and_the_weights_stay():
    model, compute_loss = made()
    before = model.get_weights()
    gradients = gradients_of(compute_loss, model, ROWS[0], TARGETS[0])
    assert_close(gradients, by_the_chain_rule(before, ROWS[0], TARGETS[0]))
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_each_step_keeps_its_own_and_they_are_what_a_checkpoint_holds():
    model, compute_loss = made()
    kept = KeptGradients()
    step = gradient_step(compute_loss, model, kept)
    for rows, targets in zip(ROWS, TARGETS, strict=True):
        step(rows, targets)
        assert_close(kept.gradients, by_the_chain_rule(model.get_weights(), rows, targets))
    assert {id(each) for each in kept.gradients} <= {id(each) for each in step.variables}


def test_frozen_weights_have_none_and_what_the_loss_reads_is_read():
    model, _ = made()
    model.layers[0].trainable = False
    factor = keras.Variable(3.0, trainable=False)

    def compute_loss(rows, targets):
        return factor * ops.mean((model(rows, training=True) - targets) ** 2)

    gradients = gradients_of(compute_loss, model, ROWS[0], TARGETS[0], reads=[factor])
    *_, kernel, bias = by_the_chain_rule(model.get_weights(), ROWS[0], TARGETS[0])
    assert_close(gradients, [3 * kernel, 3 * bias])
