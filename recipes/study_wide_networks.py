"""Wide networks learn whatever they are given by heart, and are none the worse for their width.

    python -m recipes run study_wide_networks

Zhang et al. 2016, "Understanding Deep Learning Requires Rethinking Generalization",
arXiv:1611.03530; Belkin et al. 2018, "Reconciling Modern Machine Learning Practice and the
Classical Bias-Variance Trade-Off", arXiv:1812.11118. Networks of one hidden layer of 4 to 512 units
learn 900 digits, a fifth of which have a wrong label. The labels of the validation and of the test
part are right.

An error is the share of the digits whose label is another than the answer. The widest network has
learned by heart if its error on the labels that it was given is at most 1 percent. Its test error
stays behind if it is at least 10 points larger. Width does no harm if the widest has a test error
at most 2 points above that of the best of the others, which is above one standard error of 1,000
digits; that more units overfit more would say that it is much larger.
"""

from dataclasses import dataclass

import keras
import numpy as np

from recipes.data import few_digits
from recipes.training import plots
from recipes.training.evaluate import classify
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Rate, Seed
from zoo.feedforward.mlp import mlp

WIDTHS = (4, 16, 64, 512)
BY_HEART, BEHIND, HARM = 0.01, 0.1, 0.02


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: digits a step
        learning_rate: Adam's at the first step; it falls to 0 along a cosine
        wrong_labels: share of the training part's labels that are wrong
        seed: decides initial weights, validation part, wrong labels and shuffles
    """

    epochs: PositiveInt = 40
    batch_size: PositiveInt = 50
    learning_rate: PositiveFloat = 3e-3
    wrong_labels: Rate = 0.2
    seed: Seed = 0


def main(config, run):
    right, validation, test = run.load(few_digits)
    train = few_digits.mislabelled(np.random.default_rng(config.seed), right, config.wrong_labels)

    networks = [mlp(widths=(width,), dropout_rate=0, input_dropout_rate=0) for width in WIDTHS]
    run.initialize(*networks)
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def step_of(network):
        def compute_loss(pixels, labels):
            return cross_entropy(labels, network(pixels, training=True))

        schedule = keras.optimizers.schedules.CosineDecay(
            config.learning_rate, run.total_steps(train)
        )
        return gradient_step(compute_loss, network, keras.optimizers.Adam(schedule))

    steps = [step_of(network) for network in networks]
    for _ in run.epochs(*steps):
        for batch in run.batches(train):
            run.log(**named("width_{}_loss", [step(*batch) for step in steps]))
        run.log(**named("validation_width_{}_error", errors(networks, validation)))

    on_test, on_train, on_right = (errors(networks, split) for split in (test, train, right))
    run.log(**named("test_width_{}_error", on_test))
    run.verdict(
        f"A layer of {WIDTHS[-1]} units learns its training part by heart, wrong labels and all",
        on_train[-1] <= BY_HEART,
        f"an error of {on_train[-1]:.1%} on the labels that it was given, at most {BY_HEART:.0%}; "
        f"so it is wrong on {on_right[-1]:.1%} of the digits",
    )
    run.verdict(
        "A training error of almost 0 says little of the test error",
        on_train[-1] <= BY_HEART and on_test[-1] >= on_train[-1] + BEHIND,
        f"{on_test[-1]:.1%} on the test part, {on_train[-1]:.1%} on the training part; "
        f"by {100 * BEHIND:.0f} points or more",
    )
    told = ", ".join(f"{error:.1%}" for error in on_test)
    run.verdict(
        "The widest network, which has learned most by heart, is no worse on the test part",
        on_train[-1] == min(on_train) and on_test[-1] <= min(on_test[:-1]) + HARM,
        f"test errors {told} with {', '.join(map(str, WIDTHS))} units; "
        f"at most {100 * HARM:.0f} points above the best of the others",
    )
    run.save(networks[-1])
    panel = {"training, as labelled": (WIDTHS, on_train), "test": (WIDTHS, on_test)}
    figure = plots.graphs({"": panel}, "hidden units", "error", logarithmic="x")
    run.picture("widths", figure, "Errors, by the width of the hidden layer.")


def errors(networks, split):
    """The share of a split that each gets wrong."""
    return [1 - classify(network, split).accuracy for network in networks]


def named(name, values):
    """{name with the width: value}, of each network."""
    return {name.format(width): value for width, value in zip(WIDTHS, values, strict=True)}
