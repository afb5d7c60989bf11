"""What weight decay does, and why under Adam it is not an L2 penalty.

    python -m recipes run study_weight_decay

A penalty of decay / 2 times the squared weights in the loss (Krogh and Hertz 1991, "A Simple Weight
Decay Can Improve Generalization", NIPS 4; Goodfellow et al. 2016, "Deep Learning", section 7.1.1) is
a Gaussian prior (section 5.6.1). If targets are N(inputs @ w, a) and weights N(0, b) beforehand, then
-log p(w | N examples) = |targets - inputs @ w|^2 / 2a + |w|^2 / 2b + constant, which is N / a times
the mean squared error / 2 + decay / 2 |w|^2 with decay = a / (N b): ridge regression, whose minimum
is known in closed form.

Three linear models learn it by gradients, at a third of --decay, at it and at three times it. They
have learned it within a relative distance of 1 % from the closed form, and weights shrink if each
norm is 10 % below that of the smaller penalty.

Decoupled decay (Loshchilov and Hutter 2017, arXiv:1711.05101) takes learning rate * decay * w from a
weight beside the gradient's step. For SGD both are one (their proposition 1): within 1e-5. Adam
divides a penalty's gradient by the size of the weight's gradients, and the decay not. So two more
models learn from inputs of which every other is enlarged by 4, and its weight's gradient with it.
Where a model came to rest, the slope of the error and the decay balance, and tell the penalty that
acted: of L2 the same for all weights (within 25 %), of decoupled decay larger (at least double) for
weights with large gradients. With the penalties decay * size of the gradient (their proposition 3),
ridge regression gives the latter's weights within 5 %.
"""

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops

from recipes.data import diabetes
from recipes.training import plots
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Seed

UNITS = np.array([4.0, 1.0] * 5)  # of the inputs of both models that Adam trains
LARGE = UNITS > 1


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: patients a step
        learning_rate: SGD's at the first step; it falls to 0 along a cosine, and so does Adam's
        adam_learning_rate: Adam's
        decay: what a weight costs, and what of it decays at a learning rate of 1
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

    decays = {"weak": config.decay / 3, "medium": config.decay, "strong": 3 * config.decay}
    models = {name: linear(name) for name in (*decays, "decoupled")}
    models |= {name: linear(name, UNITS) for name in ("adam_l2", "adam_decoupled")}
    run.initialize(*models.values())

    def optimizer(kind, learning_rate, **options):
        schedule = keras.optimizers.schedules.CosineDecay(learning_rate, run.total_steps(train))
        made = kind(schedule, **options)
        made.exclude_from_weight_decay(var_names=["bias"])
        return made

    def sgd(**options):
        return optimizer(keras.optimizers.SGD, config.learning_rate, **options)

    def adam(**options):
        return optimizer(keras.optimizers.Adam, config.adam_learning_rate, **options)

    def make_step(name, optimizer, penalty=0.0):
        model = models[name]
        kernel, _ = model.trainable_variables

        def compute_loss(inputs, targets):
            error = ops.mean(ops.square(model(inputs, training=True) - targets)) / 2
            return error + penalty / 2 * ops.sum(ops.square(kernel)), error

        return gradient_step(compute_loss, model, optimizer)

    decoupled_adam = adam(weight_decay=config.decay)
    steps = {name: make_step(name, sgd(), penalty) for name, penalty in decays.items()}
    steps["decoupled"] = make_step("decoupled", sgd(weight_decay=config.decay))
    steps["adam_l2"] = make_step("adam_l2", adam(), config.decay)
    steps["adam_decoupled"] = make_step("adam_decoupled", decoupled_adam)
    for _ in run.epochs(*steps.values()):
        for batch in run.batches(train):
            run.log(**{f"{name}_loss": step(*batch)[1] for name, step in steps.items()})
        run.log(**{f"validation_{name}_loss": loss(models[name], validation) for name in steps})

    run.log(**{f"test_{name}_loss": loss(models[name], test) for name in steps})
    inputs, targets = (array.astype("float64") for array in train)
    weights = {name: weights_of(model) for name, model in models.items()}
    exact = {name: ridge(inputs, targets, decay) for name, decay in decays.items()}
    apart = max(distance(weights[name], exact[name]) for name in decays)
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
    acted = {
        name: [acting_penalty(inputs * UNITS, targets, weights[name], each)
               for each in (~LARGE, LARGE)]
        for name in ("adam_l2", "adam_decoupled")
    }  # fmt: skip
    growth = {name: large / small for name, (small, large) in acted.items()}
    run.verdict(
        "Under Adam, an L2 penalty shrinks weights with large gradients less than decoupled decay",
        0.8 < growth["adam_l2"] < 1.25 and growth["adam_decoupled"] > 2,
        f"with gradients 4 times as large the penalty that acts is {growth['adam_l2']:.2f} and "
        f"{growth['adam_decoupled']:.2f} times as large; thresholds 0.8 to 1.25 and above 2",
    )
    sizes = gradient_sizes(decoupled_adam)
    apart = distance(
        weights["adam_decoupled"], ridge(inputs * UNITS, targets, config.decay * sizes)
    )
    run.verdict(
        "Decoupled decay under Adam is a penalty that grows with the size of the gradients",
        apart < 0.05,
        f"{apart:.1%} from ridge regression with such penalties; threshold 5%",
    )
    run.save(models["medium"])
    path = np.geomspace(min(decays.values()) / 10, max(decays.values()) * 10, 50)
    norm_of = [np.linalg.norm(ridge(inputs, targets, decay)) for decay in path]
    panel = {"closed form": (path, norm_of), "by gradients": (list(decays.values()), norms)}
    figure = plots.graphs({"norm of the weights": panel}, "decay", logarithmic="x")
    run.picture("norms", figure, "The larger the penalty, the smaller the weights.")
    labels = ("small gradients", "large gradients")
    bars = {
        f"{name}, {label}": value
        for name, key in (("L2", "adam_l2"), ("decoupled", "adam_decoupled"))
        for label, value in zip(labels, acted[key], strict=True)
    }
    figure = plots.bars(bars, "penalty that acts on the weights")
    run.picture("penalties", figure, "What Adam makes of a decay.")


def linear(name, units=1.0):
    """(B, 10) -> (B, 1); it begins at 0, as its error has one minimum."""
    dense = layers.Dense(1, kernel_initializer="zeros")
    return keras.Sequential([keras.Input((10,)), layers.Rescaling(units), dense], name=name)


def loss(model, split):
    """Half the mean squared error."""
    inputs, targets = split
    return float(np.mean(np.square(ops.convert_to_numpy(model(inputs)) - targets)) / 2)


def weights_of(model):
    """(10,) float64, without the bias."""
    return ops.convert_to_numpy(model.trainable_variables[0]).astype("float64").ravel()


def ridge(inputs, targets, penalties):
    """Where mean squared error / 2 + sum(penalties * weights ** 2) / 2 is smallest.

    Shapes: inputs (N, D), targets (N, 1), penalties a number or (D,) -> weights (D,). A bias, which
    costs nothing, takes the means.
    """
    inputs, targets = inputs - inputs.mean(axis=0), targets - targets.mean()
    covariance = inputs.T @ inputs / len(inputs)
    penalties = np.broadcast_to(penalties, len(covariance))
    return np.linalg.solve(
        covariance + np.diag(penalties), inputs.T @ targets.ravel() / len(inputs)
    )


def acting_penalty(inputs, targets, weights, chosen):
    """The penalty p of the chosen weights at which they rest: slope of the error + p * w = 0.

    Of several weights the p that fits best, by least squares.
    """
    inputs, targets = inputs - inputs.mean(axis=0), targets - targets.mean()
    slope = inputs.T @ (inputs @ weights - targets.ravel()) / len(inputs)
    return float(-slope[chosen] @ weights[chosen] / (weights[chosen] @ weights[chosen]))


def gradient_sizes(adam):
    """(10,): the root of Adam's average of squared gradients, by which it divides a step."""
    (squares,) = (each for each in adam.variables if "kernel_velocity" in each.path)
    average = ops.convert_to_numpy(squares).astype("float64").ravel()
    steps = int(ops.convert_to_numpy(adam.iterations))
    return np.sqrt(average / (1 - adam.beta_2**steps))  # which began at 0


def distance(found, expected):
    """Relative to the length of what is expected."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))
