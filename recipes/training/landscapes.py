"""Four losses to race optimizers on: for Keras, and with the gradient worked out, for NumPy.

ravine    80 times as steep across as along
saddle    falls off slowly along y into two valleys and is steep along x (Dauphin et al. 2014,
          arXiv:1406.2572)
network   digits of 14x14 pixels, 16 hidden units
rare      a linear classifier of features of which the rare ones say the most (Duchi, Hazan and
          Singer 2011, JMLR 12), where a tenth of the labels is wrong
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
from keras import layers, ops

FREQUENCIES = np.geomspace(0.1, 0.001, 200)
WRONG_LABELS = 0.1


class Landscape(NamedTuple):
    """What is trained, and how high it is.

    Attributes:
        build: makes the model.
        loss: ``loss(model, *batch)`` in keras.ops.
        differentiate: ``differentiate(weights, *batch)`` in NumPy: the loss, and its gradient for
            each array of weights.
    """

    build: Callable
    loss: Callable
    differentiate: Callable


def ravine(x, y):
    return (x**2 + 80 * y**2) / 2


def ravine_gradient(x, y):
    return x, 80 * y


def saddle(x, y):
    """0 at the saddle; the valleys, at (0, 1) and (0, -1), are 1/4 below it."""
    return (30 * x**2 - y**2) / 2 + y**4 / 4


def saddle_gradient(x, y):
    return 30 * x, y**3 - y


def plane(height, gradient, start):
    """The landscape of two weights that begin at ``start``, (x, y)."""

    def build():
        """The place: what a layer without biases makes of a 1."""
        at_start = keras.initializers.Constant(np.array(start, "float32"))
        place = layers.Dense(2, use_bias=False, kernel_initializer=at_start)
        return keras.Sequential([keras.Input((1,)), place])

    def loss(model):
        x, y = ops.unstack(model(ops.ones((1, 1)), training=True)[0])
        return height(x, y)

    def differentiate(weights):
        x, y = weights[0][0]
        return height(x, y), [np.array([gradient(x, y)])]

    return Landscape(build, loss, differentiate)


def build_network():
    pixels = [keras.Input((14, 14, 1)), layers.Rescaling(1 / 255), layers.Flatten()]
    return keras.Sequential([*pixels, layers.Dense(16, activation="tanh"), layers.Dense(10)])


def network_loss(model, images, labels):
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return cross_entropy(labels, model(images, training=True))


def differentiate_network(weights, images, labels):
    """Backpropagation."""
    kernel, bias, output_kernel, output_bias = weights
    pixels = images.reshape(len(images), -1) / 255
    hidden = np.tanh(pixels @ kernel + bias)
    logits = hidden @ output_kernel + output_bias
    logits = logits - logits.max(axis=1, keepdims=True)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    truth = np.eye(10)[labels]
    loss = -np.mean((truth * log_probabilities).sum(axis=1))
    at_logits = (np.exp(log_probabilities) - truth) / len(images)
    at_hidden = at_logits @ output_kernel.T * (1 - hidden**2)
    return loss, [
        pixels.T @ at_hidden,
        at_hidden.sum(axis=0),
        hidden.T @ at_logits,
        at_logits.sum(axis=0),
    ]


def draw_rare(random, count, signs):
    """Features float32 (count, 200), 0 or 1, and what they say, float32 (count, 1), 0 or 1.

    Args:
        random: a NumPy generator.
        count: of examples.
        signs: what each feature speaks for, (200,) of 1 and -1; the rarer, the louder.
    """
    features = random.random((count, len(signs))) < FREQUENCIES
    answers = features @ (signs / np.sqrt(FREQUENCIES)) > 0
    answers ^= random.random(count) < WRONG_LABELS
    return features.astype("float32"), answers.astype("float32")[:, None]


def build_linear():
    kernel = layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    return keras.Sequential([keras.Input((len(FREQUENCIES),)), kernel])


def linear_loss(model, features, answers):
    cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)
    return cross_entropy(answers, model(features, training=True))


def differentiate_linear(weights, features, answers):
    logits = features @ weights[0]
    loss = np.mean(np.logaddexp(0, logits) - answers * logits)
    return loss, [features.T @ (1 / (1 + np.exp(-logits)) - answers) / len(features)]


LANDSCAPES = {
    "ravine": plane(ravine, ravine_gradient, (-1, 0.2)),
    "saddle": plane(saddle, saddle_gradient, (-1, 0.001)),
    "network": Landscape(build_network, network_loss, differentiate_network),
    "rare": Landscape(build_linear, linear_loss, differentiate_linear),
}
