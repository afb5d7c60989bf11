"""What weight decay does, and why under Adam it is not an L2 penalty.

    python -m recipes run study_weight_decay

A penalty of decay / 2 times the squared weights in the loss (Krogh and Hertz 1991, "A Simple Weight
Decay Can Improve Generalization", NIPS 4; Goodfellow et al. 2016, "Deep Learning", section 7.1.1)
is a Gaussian prior (section 5.6.1). With targets of N(inputs @ w, a) and weights w of N(0, b),

    -log p(w | N examples) = |targets - inputs @ w|^2 / 2a + |w|^2 / 2b + constant
                           = N / a * (mean squared error / 2 + decay / 2 * |w|^2) + constant

where decay = a / (N b). The w of the maximum is that of ridge regression, known in closed form.
Three linear models look for it by gradients: at a third of --decay, at it, and at three times it.
They have found it within a relative distance of 1 %. Weights shrink if each norm is at least 10 %
below that of the next smaller penalty.

Decoupled decay (Loshchilov and Hutter 2017, arXiv:1711.05101) takes learning rate * decay * w off
a weight, beside the gradient's step. Under SGD both are the same (their proposition 1): within
1e-5. Adam divides the gradient, an L2 penalty's in it, by the gradient's usual size, but not the
decay. Two more models show it, on inputs of which every other is 4 times as large, and so is the
gradient of its weight. Where a model rests, the slope of the error and the decay balance, and tell
the penalty that acted. L2's is the same for both kinds of weights (a ratio of 0.8 to 1.25), that of
decoupled decay at least twice as large for weights with large gradients. It is decay times their
size (proposition 3) if ridge regression with such penalties gives the weights within 5 %.
"""

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops

from recipes.data import diabetes
from recipes.training import plots
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Seed

UNITS = np.array([4.0, 1.0] * 5)  # what Adam's models multiply the ten inputs with


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: patients a step
        learning_rate: SGD's at the first step; it falls to 0 along a cosine, and so does Adam's
        adam_learning_rate: Adam's
        decay: the medium one
        seed: decides shuffles
    """

    epochs: PositiveInt = 100
    batch_size: PositiveInt = 31
    learning_rate: PositiveFloat = 0.1
    adam_learning_rate: PositiveFloat = 0.02
    decay: PositiveFloat = 1.0
    seed: Seed = 0


def main(config, run):
    train, validation, test = run.load(diabetes)

    def optimizer(kind, learning_rate, decoupled):
        schedule = keras.optimizers.schedules.CosineDecay(learning_rate, run.total_steps(train))
        made = kind(schedule, weight_decay=decoupled)
        made.exclude_from_weight_decay(var_names=["bias"])
        return made

    sgd = keras.optimizers.SGD, config.learning_rate
    adam = keras.optimizers.Adam, config.adam_learning_rate
    decays = {"weak": config.decay / 3, "medium": config.decay, "strong": config.decay * 3}
    trials = {  # model, optimizer, penalty in the loss
        **{name: (linear(), optimizer(*sgd, None), decay) for name, decay in decays.items()},
        "decoupled": (linear(), optimizer(*sgd, config.decay), 0.0),
        "adam_l2": (linear(UNITS), optimizer(*adam, None), config.decay),
        "adam_decoupled": (linear(UNITS), optimizer(*adam, config.decay), 0.0),
    }
    run.initialize(*(model for model, _, _ in trials.values()))

    def make_step(model, optimizer, penalty):
        kernel, _ = model.trainable_variables

        def compute_loss(inputs, targets):
            error = ops.mean(ops.square(model(inputs, training=True) - targets)) / 2
            return error + penalty / 2 * ops.sum(ops.square(kernel)), error

        return gradient_step(compute_loss, model, optimizer)

    def losses(part, split):
        return {
            f"{part}_{name}_loss": error(model, split) for name, (model, _, _) in trials.items()
        }

    steps = {name: make_step(*trial) for name, trial in trials.items()}
    for _ in run.epochs(*steps.values()):
        for batch in run.batches(train):
            run.log(**{f"{name}_loss": step(*batch)[1] for name, step in steps.items()})
        run.log(**losses("validation", validation))

    run.log(**losses("test", test))
    weights = {name: weights_of(model) for name, (model, _, _) in trials.items()}
    apart = max(distance(weights[name], ridge(*train, decay)) for name, decay in decays.items())
    run.verdict(
        "Gradients with an L2 penalty end at the estimate of a Gaussian prior, ridge regression's",
        apart < 0.01,
        f"at most {apart:.2%} from the closed form; threshold 1%",
    )
    norms = [float(np.linalg.norm(weights[name])) for name in decays]
    run.verdict(
        "The larger the penalty, the smaller the weights",
        norms[1] < 0.9 * norms[0] and norms[2] < 0.9 * norms[1],
        f"norms {', '.join(f'{norm:.3f}' for norm in norms)}; threshold 10% each",
    )
    apart = distance(weights["decoupled"], weights["medium"])
    run.verdict(
        "Under SGD, decoupled decay is an L2 penalty",
        apart < 1e-5,
        f"weights {apart:.1e} apart; threshold 1e-5",
    )
    inputs, targets = train[0] * UNITS, train[1]
    acted = {
        f"{name}, {size} gradients": acting_penalty(inputs, targets, weights[model], chosen)
        for name, model in (("L2", "adam_l2"), ("decoupled", "adam_decoupled"))
        for size, chosen in (("small", UNITS == 1), ("large", UNITS > 1))
    }
    l2_small, l2_large, decoupled_small, decoupled_large = acted.values()
    l2, decoupled = l2_large / l2_small, decoupled_large / decoupled_small
    run.verdict(
        "Under Adam, an L2 penalty shrinks weights with large gradients less than decoupled decay",
        0.8 < l2 < 1.25 and decoupled > 2,
        f"for gradients 4 times as large the penalty that acts is {l2:.2f} and {decoupled:.2f} "
        f"times as large; thresholds 0.8 to 1.25 and above 2",
    )
    penalties = config.decay * gradient_sizes(trials["adam_decoupled"][1])
    apart = distance(weights["adam_decoupled"], ridge(inputs, targets, penalties))
    run.verdict(
        "Decoupled decay under Adam is a penalty that grows with the size of the gradients",
        apart < 0.05,
        f"{apart:.1%} from ridge regression with such penalties; threshold 5%",
    )
    run.save(trials["medium"][0])
    path = np.geomspace(decays["weak"] / 10, decays["strong"] * 10)
    norm_of = [np.linalg.norm(ridge(*train, decay)) for decay in path]
    panel = {"closed form": (path, norm_of), "by gradients": (list(decays.values()), norms)}
    figure = plots.graphs({"norm of the weights": panel}, "decay", logarithmic="x")
    run.picture("norms", figure, "The larger the penalty, the smaller the weights.")
    figure = plots.bars(acted, "penalty that acts on the weights")
    run.picture("penalties", figure, "What Adam makes of one decay.")


def linear(units=1.0):
    """(B, 10) -> (B, 1); it begins at 0, for its error has one minimum."""
    dense = layers.Dense(1, kernel_initializer="zeros")
    return keras.Sequential([keras.Input((10,)), layers.Rescaling(units), dense])


def error(model, split):
    """Half the mean squared error."""
    inputs, targets = split
    return float(np.mean(np.square(ops.convert_to_numpy(model(inputs)) - targets)) / 2)


def weights_of(model):
    """(10,), without the bias."""
    return ops.convert_to_numpy(model.trainable_variables[0]).astype("float64").ravel()


def ridge(inputs, targets, penalties):
    """Where mean squared error / 2 + sum(penalties * weights ** 2) / 2 is smallest.

    Shapes: inputs (N, D), targets (N, 1), penalties (D,) or a number -> weights (D,).
    """
    covariance, shared = moments(inputs, targets)
    return np.linalg.solve(covariance + np.diag(np.full(len(shared), penalties)), shared)


def acting_penalty(inputs, targets, weights, chosen):
    """The p that fits best to slope of the error + p * weights = 0, for the chosen weights."""
    covariance, shared = moments(inputs, targets)
    slope, weights = (covariance @ weights - shared)[chosen], weights[chosen]
    return float(-(slope @ weights) / (weights @ weights))


def moments(inputs, targets):
    """Covariances of the inputs (D, D), and with the targets (D,); a bias takes the means."""
    inputs, targets = (each.astype("float64") - each.mean(axis=0) for each in (inputs, targets))
    return inputs.T @ inputs / len(inputs), inputs.T @ targets.ravel() / len(inputs)


def gradient_sizes(adam):
    """(10,): the root of Adam's mean of squared gradients, by which it divides a step."""
    (squares,) = (each for each in adam.variables if "kernel_velocity" in each.path)
    share = 1 - adam.beta_2 ** int(ops.convert_to_numpy(adam.iterations))  # it began at 0
    return np.sqrt(ops.convert_to_numpy(squares).astype("float64").ravel() / share)


def distance(found, expected):
    """Relative to the length of what is expected."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))
