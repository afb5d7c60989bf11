"""Batch normalization: larger learning rates, fewer steps, and some regularization.

    python -m recipes run study_batch_norm

Ioffe and Szegedy 2015, "Batch Normalization: Accelerating Deep Network Training by Reducing
Internal Covariate Shift", arXiv:1502.03167. The network of section 4.1, three hidden layers of 100
sigmoid units, learns digits with and without normalization, at three learning rates. One more is
normalized in small groups of the same batches, each by its own mean and variance. Some training
labels are wrong, so that there is something to overfit.

A network learns if its mean loss in the last epoch is below half of that of guessing, log 10, and
does not if it is above nine tenths of it. Steps to that half are fewer if they are at most half of
those without normalization, each at its best rate. Small groups regularize if the test error is
lower than with whole batches by 2 points or more.

The test error is lowest without normalization at the medium rate (27.0 %, where groups have 30.5 %
to 31.5 % and whole batches 31.9 % to 36.0 %): what learns more slowly learns less of the wrong
labels. "Overfits less" is of groups against whole batches alone.
"""

import math
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops

from custom_layers import BatchNormalization
from recipes.data import few_digits
from recipes.training import plots
from recipes.training.errors import InputError
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Rate, Seed
from recipes.training.saved_run import read_run

LEARNED, NOT_LEARNED = 0.5 * math.log(10), 0.9 * math.log(10)
LESS_ERROR = 0.02
KINDS = ("plain", "normalized")
RATES = {"slow": 0.1, "medium": 1, "fast": 10}  # times the option


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: digits a step
        learning_rate: the medium one at the first step; it falls to 0 along a cosine
        group_size: digits that are normalized together in small groups; it divides the batch size
        wrong_labels: share of the training labels that are wrong
        seed: decides initial weights, validation part, wrong labels and shuffles
    """

    epochs: PositiveInt = 60
    batch_size: PositiveInt = 60
    learning_rate: PositiveFloat = 1.0
    group_size: PositiveInt = 5
    wrong_labels: Rate = 0.2
    seed: Seed = 0


def network(normalized):
    """Pixels (B, 784) -> (B, 10) logits."""
    hidden = []
    for _ in range(3):
        hidden.append(layers.Dense(100, use_bias=not normalized))  # beta replaces the bias
        if normalized:
            hidden.append(BatchNormalization(momentum=0.9))  # 0.99 is too slow for a short run
        hidden.append(layers.Activation("sigmoid"))
    return keras.Sequential([keras.Input((784,)), *hidden, layers.Dense(10)])


def main(config, run):
    if config.batch_size % config.group_size:
        raise InputError(f"--group-size {config.group_size} does not divide {config.batch_size}")
    train, validation, test = run.load(few_digits)
    train = few_digits.mislabelled(np.random.default_rng(config.seed), train, config.wrong_labels)

    factors = {f"{kind}_{rate}": RATES[rate] for kind in KINDS for rate in RATES}
    factors["grouped"] = RATES["medium"]
    networks = {name: network(normalized=not name.startswith("plain")) for name in factors}
    run.initialize(*networks.values())
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    total = run.total_steps(train)

    def step_of(name):
        groups = config.batch_size // config.group_size if name == "grouped" else 1

        def compute_loss(pixels, labels):
            parts = ops.split(pixels, groups)
            logits = [networks[name](part, training=True) for part in parts]
            return cross_entropy(labels, ops.concatenate(logits))

        rate = config.learning_rate * factors[name]
        schedule = keras.optimizers.schedules.CosineDecay(rate, total)
        return gradient_step(compute_loss, networks[name], keras.optimizers.SGD(schedule))

    steps = {name: step_of(name) for name in networks}
    for _ in run.epochs(*steps.values()):
        for batch in run.batches(train):
            run.log(**{f"{name}_loss": step(*batch) for name, step in steps.items()})
        for name, each in networks.items():
            run.log(**{f"validation_{name}_accuracy": accuracy(each, validation)})

    errors = {name: 1 - accuracy(each, test) for name, each in networks.items()}
    run.log(**{f"test_{name}_accuracy": 1 - error for name, error in errors.items()})
    epochs = read_run(run.folder).epochs
    ends = [row["step"] for row in epochs]
    losses = {name: [row[f"training_{name}_loss"] for row in epochs] for name in networks}

    plain, normalized = losses["plain_fast"][-1], losses["normalized_fast"][-1]
    run.verdict(
        "Normalized, a network learns at a rate at which it does not learn without",
        normalized < LEARNED and plain > NOT_LEARNED,
        f"at a rate of {config.learning_rate * RATES['fast']:g} the loss is {normalized:.2f}, and "
        f"{plain:.2f} without; below {LEARNED:.2f} and above {NOT_LEARNED:.2f}",
    )
    plain, normalized = (
        min(steps_to(LEARNED, ends, losses[f"{kind}_{rate}"]) for rate in RATES) for kind in KINDS
    )
    run.verdict(
        "Normalized, a network takes fewer steps to the same loss",
        normalized <= min(plain, total) / 2,
        f"to {LEARNED:.2f}, {normalized} with it, and without it "
        f"{plain if plain <= total else f'more than all {total}'}; half as many or fewer",
    )
    run.verdict(
        "Normalized in small groups, a network overfits less",
        errors["grouped"] <= errors["normalized_medium"] - LESS_ERROR,
        f"test error {errors['grouped']:.1%} in groups of {config.group_size}, "
        f"{errors['normalized_medium']:.1%} in whole batches; by {LESS_ERROR:.0%} or more",
    )
    run.save(networks["grouped"])
    panels = {kind: {rate: (ends, losses[f"{kind}_{rate}"]) for rate in RATES} for kind in KINDS}
    figure = plots.graphs(panels, "step", "training loss", logarithmic="y")
    run.picture("losses", figure, "Mean loss of each epoch, at three learning rates.")
    run.picture("errors", plots.bars(errors, "test error"), "Test error of all networks.")


def accuracy(classifier, split):
    """In inference; sooner than ``predict``, which takes longer to start than all of this."""
    pixels, labels = split
    return float(np.mean(ops.convert_to_numpy(classifier(pixels)).argmax(axis=-1) == labels))


def steps_to(level, steps, losses):
    """The first of the steps whose loss is at or below a level; infinity if none is."""
    return next((step for step, loss in zip(steps, losses, strict=True) if loss <= level), math.inf)
