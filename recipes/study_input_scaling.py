"""What the scale of the inputs does to learning.

    python -m recipes run study_input_scaling

LeCun, Bottou, Orr and Mueller 1998, "Efficient BackProp", section 4.3: inputs are to have a mean of
0 and one variance. Section 5 has the reason: a linear unit's Hessian is the mean of x x^T, its
largest eigenvalue limits the learning rate, and how much smaller the others are, its condition
number, is how much slower the rest is learned.

13 measurements of wines, each in a unit of its own, come raw, moved to between 0 and 1, and
standardized; the statistics are the training part's. A linear model of each has the rate that its
inputs allow, 1 over the largest eigenvalue, and a network, that LeCun's tanh makes, each of four
rates, of which the one with the lowest validation loss in the end is judged.

The condition number is smaller if it is a thousandth at most. The linear models are in its order
if each loss is a tenth lower than the one before. The network has learned when the mean loss of an
epoch is below 0.2 nats, where guessing has 1.1: of the steps until then a half at most is fewer. A
test accuracy is better by 10 points or more: the test has 36 wines.
"""

import itertools
import math
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from recipes.data import wine
from recipes.training import plots
from recipes.training.evaluate import classify
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveInt, Seed
from recipes.training.saved_run import read_run

SCALINGS = ("raw", "min_max", "standardized")
RATES = (1.0, 0.03, 1e-3, 3e-5)  # the network's; raw inputs need small ones
LEARNED = 0.2  # nats
SMALLER, FEWER, LOWER, BETTER = 1e-3, 0.5, 0.9, 0.1


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: wines a step
        hidden_units: of the network
        seed: decides initial weights and shuffles
    """

    epochs: PositiveInt = 60
    batch_size: PositiveInt = 16
    hidden_units: PositiveInt = 16
    seed: Seed = 0


def scalings(inputs):
    """{name: (scale, offset)} of the training part's inputs (N, D), for scale * x + offset."""
    low, high = inputs.min(axis=0), inputs.max(axis=0)
    mean, deviation = inputs.mean(axis=0, dtype="float64"), inputs.std(axis=0, dtype="float64")
    return {
        "raw": (np.ones_like(mean), np.zeros_like(mean)),
        "min_max": (1 / (high - low), -low / (high - low)),
        "standardized": (1 / deviation, -mean / deviation),
    }


def curvatures(inputs):
    """Eigenvalues, the largest first, of the Hessian of a linear unit with a bias.

    That of half the mean squared error is the mean of x x^T, with a 1 in x for the bias. The
    cross-entropy's is half of it at most.
    """
    rows = np.column_stack([inputs.astype("float64"), np.ones(len(inputs))])
    return np.linalg.svd(rows, compute_uv=False) ** 2 / len(rows)


def model_of(scaling, hidden, name):
    """(B, 13) raw -> (B, 3) logits: it scales the inputs itself, so that all see one batch."""
    rescaling = layers.Rescaling(*(each.astype("float32") for each in scaling))
    return keras.Sequential(
        [keras.Input((len(scaling[0]),)), rescaling, *hidden, layers.Dense(3)], name=name
    )


def main(config, run):
    train, validation, test = run.load(wine)

    models, rates, condition = {}, {}, {}
    for name, (scale, offset) in scalings(train[0]).items():
        eigenvalues = curvatures(scale * train[0] + offset)
        condition[name] = float(eigenvalues[0] / eigenvalues[-1])
        linear = f"{name}_linear"
        models[linear] = model_of((scale, offset), [], linear)
        rates[linear] = float(1 / eigenvalues[0])
        for rate in RATES:
            at_rate = f"{name}_{rate:g}"
            hidden = [layers.Dense(config.hidden_units, "tanh")]
            models[at_rate] = model_of((scale, offset), hidden, name)
            rates[at_rate] = rate
    run.initialize(*models.values())
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def step_of(name):
        def compute_loss(inputs, labels):
            return cross_entropy(labels, models[name](inputs, training=True))

        return gradient_step(compute_loss, models[name], keras.optimizers.SGD(rates[name]))

    gradient_steps = {name: step_of(name) for name in models}
    for _ in run.epochs(*gradient_steps.values()):
        for batch in run.batches(train):
            run.log(**{f"{name}_loss": step(*batch) for name, step in gradient_steps.items()})
        run.log(
            **{
                f"validation_{name}_loss": classify(model, validation).loss
                for name, model in models.items()
            }
        )

    rows = read_run(run.folder).epochs
    best = {
        scaling: min(
            (f"{scaling}_{rate:g}" for rate in RATES),
            key=lambda name: rows[-1][f"validation_{name}_loss"],
        )
        for scaling in SCALINGS
    }
    accuracy = {scaling: classify(models[name], test).accuracy for scaling, name in best.items()}
    run.log(**{f"test_{scaling}_accuracy": each for scaling, each in accuracy.items()})

    run.verdict(
        "Standardizing makes the condition number of the inputs smaller",
        condition["standardized"] <= SMALLER * condition["raw"],
        f"{of_each(condition, '.2g')}; {SMALLER:g} of the raw one is asked",
    )
    losses = {scaling: rows[-1][f"training_{scaling}_linear_loss"] for scaling in SCALINGS}
    run.verdict(
        "The smaller it is, the more a linear model learns",
        all(
            condition[after] < condition[before] and losses[after] <= LOWER * losses[before]
            for before, after in itertools.pairwise(SCALINGS)
        ),
        f"training loss in the end: {of_each(losses, '.3f')}; each is to be a tenth lower",
    )
    steps = {scaling: steps_until(LEARNED, rows, name) for scaling, name in best.items()}
    run.verdict(
        "A network learns standardized inputs in fewer steps than raw ones",
        math.isfinite(steps["standardized"]) and steps["standardized"] <= FEWER * steps["raw"],
        f"{of_each(steps, '.0f')} steps at the best of four rates, inf being never; half is asked",
    )
    run.verdict(
        "It is better on the test part with them",
        accuracy["standardized"] >= accuracy["raw"] + BETTER,
        f"test accuracy: {of_each(accuracy, '.1%')}; 10 points are asked",
    )
    run.save(models[best["standardized"]])
    figure = plots.graphs(
        {
            kind: {
                f"{scaling}, rate {rates[name]:.2g}": curve(rows, name)
                for scaling, name in names.items()
            }
            for kind, names in {
                "linear model": {scaling: f"{scaling}_linear" for scaling in SCALINGS},
                "network": best,
            }.items()
        },
        "step", "training loss", logarithmic="y",
    )  # fmt: skip
    run.picture("losses", figure, "How the loss falls with each scaling.")


def of_each(values, style):
    return ", ".join(f"{value:{style}} {name}" for name, value in values.items())


def curve(rows, name):
    """(steps, mean training losses) of the epochs."""
    return [row["step"] for row in rows], [row[f"training_{name}_loss"] for row in rows]


def steps_until(loss, rows, name):
    """Steps to the end of the first epoch whose mean training loss is below it; inf: never."""
    return min(
        (step for step, each in zip(*curve(rows, name), strict=True) if each < loss),
        default=math.inf,
    )
