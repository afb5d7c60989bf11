"""Four losses to race optimizers on, each with its gradient worked out, for NumPy.

Two are heights above a plane, whose two weights are a place:

    ravine    80 times as steep across as along
    saddle    falls off slowly along y into two valleys and is steep along x (Dauphin et al. 2014,
              arXiv:1406.2572)

Two are trained, on batches, by Keras too:

    network   digits, 16 hidden units
    rare      a linear classifier of features of which the rare ones say the most (Duchi, Hazan and
              Singer 2011, JMLR 12), where a tenth of the labels is wrong
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
from keras import layers

from recipes.training.optimizers import descend

RATES = [digit * 10.0**exponent for exponent in range(-3, 2) for digit in (1, 2, 5)]
FREQUENCIES = np.geomspace(0.1, 0.001, 200)
WRONG_LABELS = 0.1


class Plane(NamedTuple):
    """A height above the plane.

    Attributes:
        height: ``height(x, y)``.
        gradient: ``gradient(x, y)``, a pair.
        start: where to begin, (x, y).
        line: who is below this height has arrived.
    """

    height: Callable
    gradient: Callable
    start: tuple
    line: float


class Way(NamedTuple):
    """How a formula went below the line: its rate, steps, and places (steps + 1, 2)."""

    rate: float
    steps: int
    places: np.ndarray


class Task(NamedTuple):
    """What is trained.

    Attributes:
        build: makes the Keras model.
        loss: Keras's, of labels and logits.
        differentiate: ``differentiate(weights, inputs, labels)`` in NumPy: the mean loss, and its
            gradient for each array of weights.
    """

    build: Callable
    loss: keras.losses.Loss
    differentiate: Callable


def fastest_way(plane, formula, steps):
    """The ``Way`` of a formula at that of RATES which takes it to the line in fewest steps."""

    def differentiate(weights):
        (place,) = weights
        return plane.height(*place), [np.array(plane.gradient(*place))]

    ways = []
    for rate in RATES:
        with np.errstate(all="ignore"):  # a rate that is too large ends in infinity
            heights, path = descend(
                formula, differentiate, [np.array(plane.start)], rate, [()] * steps
            )
        arrived = arrival(heights, plane.line)
        ways.append(Way(rate, arrived, np.array(path)[: arrived + 1, 0]))
    return min(ways, key=lambda way: way.steps)


def best_rate(task, formula, weights, batches, validation):
    """That of RATES at which a formula ends with the lowest validation loss."""
    losses = {}
    for rate in RATES:
        with np.errstate(all="ignore"):
            _, path = descend(formula, task.differentiate, weights, rate, batches)
            losses[rate] = np.nan_to_num(task.differentiate(path[-1], *validation)[0], nan=np.inf)
    return min(losses, key=losses.get)


def arrival(losses, line):
    """Steps until the loss is below a line for good; all where it never is."""
    above = np.flatnonzero(~(np.asarray(losses) < line))  # where nan is, too
    return int(above[-1]) + 1 if len(above) else 0


def ravine(x, y):
    return (x**2 + 80 * y**2) / 2


def ravine_gradient(x, y):
    return x, 80 * y


def saddle(x, y):
    """0 at the saddle; the valleys, at (0, 1) and (0, -1), are 1/4 below it."""
    return (30 * x**2 - y**2) / 2 + y**4 / 4


def saddle_gradient(x, y):
    return 30 * x, y**3 - y


def build_network():
    pixels = [keras.Input((28, 28, 1)), layers.Rescaling(1 / 255), layers.Flatten()]
    return keras.Sequential([*pixels, layers.Dense(16, activation="tanh"), layers.Dense(10)])


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


def draw_signs(random):
    """What each rare feature speaks for, (200,) of 1 and -1, by a NumPy generator."""
    return random.choice([-1.0, 1.0], len(FREQUENCIES))


def draw_rare(random, count, signs):
    """Features float32 (count, 200), 0 or 1, and what they say, float32 (count, 1), 0 or 1.

    Args:
        random: a NumPy generator.
        count: of examples.
        signs: those of ``draw_signs``; the rarer a feature, the louder it speaks.
    """
    features = random.random((count, len(signs))) < FREQUENCIES
    answers = features @ (signs / np.sqrt(FREQUENCIES)) > 0
    answers ^= random.random(count) < WRONG_LABELS
    return features.astype("float32"), answers.astype("float32")[:, None]


def build_linear():
    kernel = layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    return keras.Sequential([keras.Input((len(FREQUENCIES),)), kernel])


def differentiate_linear(weights, features, answers):
    logits = features @ weights[0]
    loss = np.mean(np.logaddexp(0, logits) - answers * logits)
    return loss, [features.T @ (1 / (1 + np.exp(-logits)) - answers) / len(features)]


# Arrived is who is below a hundredth of the ravine's height at the start, or halfway down the
# saddle's valleys.
PLANES = {
    "ravine": Plane(ravine, ravine_gradient, start=(-1.0, 0.2), line=0.021),
    "saddle": Plane(saddle, saddle_gradient, start=(-1.0, 0.001), line=-0.125),
}
TASKS = {
    "network": Task(
        build_network,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        differentiate_network,
    ),
    "rare": Task(
        build_linear, keras.losses.BinaryCrossentropy(from_logits=True), differentiate_linear
    ),
}
