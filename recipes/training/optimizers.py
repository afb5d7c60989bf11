"""Six optimizers, each as its paper has it, in NumPy.

    state = new_state()
    weights = weights + adam(state, gradient, weights, learning_rate)

    gradient_descent   down the slope (Cauchy 1847)
    momentum           Polyak 1964, "Some methods of speeding up the convergence of iteration
                       methods", USSR Computational Mathematics and Mathematical Physics 4
    nesterov           Nesterov 1983, Soviet Mathematics Doklady 27, as Sutskever et al. 2013,
                       "On the importance of initialization and momentum in deep learning", has it
    rmsprop            Tieleman and Hinton 2012, "Neural Networks for Machine Learning", lecture 6.5
    adam               Kingma and Ba 2014, arXiv:1412.6980, algorithm 1
    adamw              Loshchilov and Hutter 2017, arXiv:1711.05101, algorithm 2

A step is what is added to the weights. All states begin at 0. Constants are Keras's defaults, and
of momentum, whose default is none, the usual 0.9.
"""

from collections import defaultdict

import numpy as np

# Against a division by 0. Papers and frameworks add it at different places, which is of no weight
# where gradients are much larger.
EPSILON = 1e-7


def new_state():
    return defaultdict(float)


def gradient_descent(state, gradient, weights, learning_rate):
    return -learning_rate * gradient


def momentum(state, gradient, weights, learning_rate, decay=0.9):
    """The step before goes on, shorter by a tenth."""
    state["velocity"] = decay * state["velocity"] - learning_rate * gradient
    return state["velocity"]


def nesterov(state, gradient, weights, learning_rate, decay=0.9):
    """Momentum whose gradient is taken where the step before leads, and not where it began.

    The weights are those places, theta + mu v of Sutskever et al.: from one to the next it is a
    step of theta, and what changes ahead of it.
    """
    state["velocity"] = decay * state["velocity"] - learning_rate * gradient
    return decay * state["velocity"] - learning_rate * gradient


def rmsprop(state, gradient, weights, learning_rate, decay=0.9):
    """Each weight's gradient over its own size of late, the root of its mean square."""
    state["square"] = decay * state["square"] + (1 - decay) * gradient**2
    return -learning_rate * gradient / np.sqrt(state["square"] + EPSILON)


def adam(state, gradient, weights, learning_rate, beta_1=0.9, beta_2=0.999):
    """The gradient's mean of late over the root of its mean square of late."""
    state["step"] += 1
    state["mean"] = beta_1 * state["mean"] + (1 - beta_1) * gradient
    state["square"] = beta_2 * state["square"] + (1 - beta_2) * gradient**2
    # They began at 0, which is still among what they average.
    mean = state["mean"] / (1 - beta_1 ** state["step"])
    square = state["square"] / (1 - beta_2 ** state["step"])
    return -learning_rate * mean / (np.sqrt(square) + EPSILON)


def adamw(state, gradient, weights, learning_rate, weight_decay=0.004):
    """Adam, and each weight falls by a share of itself, whatever its gradient."""
    decay = -learning_rate * weight_decay * weights
    return adam(state, gradient, weights, learning_rate) + decay


def descend(formula, differentiate, weights, learning_rate, batches):
    """Trains: (losses before each step (steps,), the weights before each and at the end).

    Args:
        formula: one of the six.
        differentiate: ``differentiate(weights, *batch)`` returns the loss and, for each array of
            weights, the gradient.
        weights: list of the arrays to begin with.
        learning_rate: a number.
        batches: list of tuples, one a step.
    """
    losses, path = [], [weights]
    states = [new_state() for _ in weights]
    for batch in batches:
        loss, gradients = differentiate(weights, *batch)
        weights = [
            array + formula(state, gradient, array, learning_rate)
            for state, gradient, array in zip(states, gradients, weights, strict=True)
        ]
        losses.append(loss)
        path.append(weights)
    return np.array(losses), path
