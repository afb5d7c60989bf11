"""Four losses to race optimizers on, with their gradients worked out, in NumPy.

Two are heights above a plane, whose two weights are a place:

    ravine    80 times as steep across as along
    saddle    falls off slowly along y into two valleys and is steep along x (Dauphin et al. 2014,
              arXiv:1406.2572)

Two are of batches:

    network   of one hidden layer, for digits
    linear    a classifier of features of which the rare ones say the most (Duchi, Hazan and Singer
              2011, JMLR 12), where a tenth of the labels is wrong
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

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


class Result(NamedTuple):
    """What a formula learned: its rate, and the weights at the end."""

    rate: float
    weights: list


def fastest_way(plane, formula, steps):
    """The ``Way`` of a formula at that of RATES which takes it to the line in fewest steps."""

    def differentiate(weights):
        (place,) = weights
        return plane.height(*place), [np.array(plane.gradient(*place))]

    ways = []
    start = [np.array(plane.start)]
    for rate in RATES:
        with np.errstate(all="ignore"):  # a rate that is too large ends in infinity
            heights, path = descend(formula, differentiate, start, rate, [()] * steps)
        arrived = arrival(heights, plane.line)
        ways.append(Way(rate, arrived, np.array(path)[: arrived + 1, 0]))
    return min(ways, key=lambda way: way.steps)


def best_result(differentiate, formula, weights, batches, validation):
    """The ``Result`` of a formula at that of RATES which ends with the lowest validation loss.

    Args:
        differentiate: ``differentiate(weights, inputs, labels)``: the mean loss, and its gradient
            for each array of weights.
        formula: one of recipes.training.optimizers.
        weights: list of the arrays to begin with.
        batches: list of pairs (inputs, labels), one a step.
        validation: a pair.
    """
    results = []
    for rate in RATES:
        with np.errstate(all="ignore"):
            _, path = descend(formula, differentiate, weights, rate, batches)
            loss, _ = differentiate(path[-1], *validation)
        results.append((np.nan_to_num(loss, nan=np.inf), Result(rate, path[-1])))
    _, best = min(results, key=lambda each: each[0])
    return best


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


def differentiate_network(weights, images, labels):
    """Cross-entropy of a network of tanh units, and its gradient by back-propagation.

    Shapes: kernel (D, H) and bias (H,), of the outputs (H, 10) and (10,); images (B, ...) of D
    pixels from 0 to 255, labels (B,).
    """
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


def differentiate_linear(weights, features, answers):
    """Cross-entropy of one unit without a bias, and its gradient; the kernel is (200, 1)."""
    logits = features @ weights[0]
    loss = np.mean(np.logaddexp(0, logits) - answers * logits)
    return loss, [features.T @ (1 / (1 + np.exp(-logits)) - answers) / len(features)]


# Arrived is who is below a hundredth of the ravine's height at the start, or halfway down the
# saddle's valleys.
PLANES = {
    "ravine": Plane(ravine, ravine_gradient, start=(-1.0, 0.2), line=0.021),
    "saddle": Plane(saddle, saddle_gradient, start=(-1.0, 0.001), line=-0.125),
}
