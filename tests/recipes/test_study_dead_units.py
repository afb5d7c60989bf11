"""What the study counts, on networks whose dead units are known."""

import keras
import numpy as np
import pytest
from keras import layers

from custom_layers import LeakyReLU
from recipes.study_dead_units import dead_units, network, units_without_gradient
from recipes.training.kept_gradients import gradients_of

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 28, 28, 1)).astype("uint8")
LABELS = np.arange(20) % 10


def with_dead_units(activation, dead):
    """Of the first hidden layer's 8 units, ``dead`` are far below 0 for every image."""
    keras.utils.set_random_seed(0)
    model = network(activation, 8, "network")
    bias = model.weights[1]
    assert bias.shape == (8,)
    # The others are above 0, in both layers: each is alive.
    bias.assign(np.where(np.arange(8) < dead, -1000, 100).astype("float32"))
    second = model.weights[2:4]
    second[0].assign(np.where(np.arange(8) < dead, 0, 0.1)[:, None] * np.ones((8, 8), "float32"))
    second[1].assign(np.full(8, 1.0, "float32"))
    return model


def gradients(model):
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def compute_loss(images, labels):
        return cross_entropy(labels, model(images, training=True))

    return gradients_of(compute_loss, model, IMAGES, LABELS)


@pytest.mark.parametrize("dead", [0, 3])
def test_dead_units_with_relu_have_no_gradient(dead):
    model = with_dead_units(layers.ReLU, dead)
    assert dead_units(model, IMAGES) == dead / 16
    assert units_without_gradient(gradients(model)) == dead / 16


def test_with_leaky_relu_they_have_one():
    model = with_dead_units(LeakyReLU, 3)
    kernel = model.weights[2]
    kernel.assign(np.full((8, 8), 0.001, "float32"))  # what they do counts above
    assert dead_units(model, IMAGES) == 3 / 16
    assert units_without_gradient(gradients(model)) == 0
