"""How the training and the validation loss tell underfitting from overfitting.

    python -m recipes run study_watch_both_losses

Goodfellow, Bengio and Courville 2016, "Deep Learning", section 5.2 and figure 5.3: a network
underfits if its training error is high, and overfits if its validation error is much higher than
that. Three networks part a disk from the ring around it: one without a hidden layer, which is too
small, one that is right, and one as large that sees 50 of the 1,000 examples only, over and over.
``diagnose`` reads the two curves of a network and nothing else, and takes as their end the mean of
the last tenth of the epochs:

    underfit   the training loss ends above half of what guessing has, ln 2
    overfit    else, if the validation loss ends more than a fifth above its lowest
    fit        else

A statement on a network holds if this is what the network was made to be. The test confirms it if
the accuracy is best where they tell a fit, by 2 points or more: two standard errors of 90% on 1,000
examples.
"""

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from recipes.data import disk_and_ring
from recipes.training import plots
from recipes.training.evaluate import classify
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Seed
from recipes.training.saved_run import read_run

GUESSING = float(np.log(2))  # nats: the loss of one half for each of the two classes
HIGH = 0.5  # of it: the network does not even learn what it is shown
RISEN = 1.2  # times its lowest: more than a validation loss wavers from epoch to epoch
FEW = 50  # examples that the third network sees
MARGIN = 0.02  # of accuracy
# What each network is, and what it is to be found.
MADE_TO_BE = {
    "small": ("is too small", "underfit"),
    "right": ("fits", "fit"),
    "few": ("has too few examples", "overfit"),
}


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: examples a step
        learning_rate: Adam's, of all networks
        seed: decides initial weights, shuffles and which of the few examples are in a batch
    """

    epochs: PositiveInt = 30
    batch_size: PositiveInt = 50
    learning_rate: PositiveFloat = 0.01
    seed: Seed = 0


def network(widths, name):
    """(B, 2) -> (B, 2) logits."""
    hidden = [layers.Dense(width, "relu", kernel_initializer="he_normal") for width in widths]
    return keras.Sequential([keras.Input((2,)), *hidden, layers.Dense(2)], name=name)


def main(config, run):
    train, validation, test = run.load(disk_and_ring)

    networks = {
        name: network(widths, name)
        for name, widths in {"small": (), "right": (32, 32), "few": (32, 32)}.items()
    }
    run.initialize(*networks.values())
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def with_few(random, points, labels):
        """The batch of a step, and as many of the few examples."""
        chosen = random.integers(FEW, size=len(points))
        return points, labels, *(array[chosen] for array in train)

    def step_of(model):
        def compute_loss(points, labels):
            return cross_entropy(labels, model(points, training=True))

        return gradient_step(compute_loss, model, keras.optimizers.Adam(config.learning_rate))

    steps = {name: step_of(model) for name, model in networks.items()}
    for _ in run.epochs(*steps.values()):
        for points, labels, few_points, few_labels in run.batches(train, with_few):
            run.log(
                small_loss=steps["small"](points, labels),
                right_loss=steps["right"](points, labels),
                few_loss=steps["few"](few_points, few_labels),
            )
        results = {name: classify(model, validation) for name, model in networks.items()}
        run.log(**{f"validation_{name}_loss": result.loss for name, result in results.items()})

    accuracies = {name: classify(model, test).accuracy for name, model in networks.items()}
    run.log(**{f"test_{name}_accuracy": accuracy for name, accuracy in accuracies.items()})
    rows = read_run(run.folder).epochs
    curves = {
        name: [[row[f"{part}_{name}_loss"] for row in rows] for part in ("training", "validation")]
        for name in networks
    }
    for name, (trait, expected) in MADE_TO_BE.items():
        found = diagnose(*curves[name])
        run.verdict(
            f"The two losses tell that a network {trait}",
            found == expected,
            f"{found}: {figures(*curves[name])}",
        )
    run.verdict(
        "The test accuracy is best where they tell a fit",
        accuracies["right"] >= max(accuracies["small"], accuracies["few"]) + MARGIN,
        f"{accuracies['right']:.1%}, with too small a network {accuracies['small']:.1%}, with too "
        f"few examples {accuracies['few']:.1%}; 2 points are asked",
    )
    ends = {name: end(training) for name, (training, _) in curves.items()}
    run.verdict(
        "The training loss alone would choose another network",
        min(ends, key=ends.get) != "right",
        f"{ends['few']:.3f} with too few examples, {ends['right']:.3f} where the network fits",
    )
    run.save(networks["right"])
    epochs, few = range(1, len(rows) + 1), [array[:FEW] for array in train]
    drawn, decided = {}, {}
    for name, model in networks.items():
        title = f"It {MADE_TO_BE[name][0]}"
        parts = zip(("training", "validation"), curves[name], strict=True)
        drawn[title] = {part: (epochs, losses) for part, losses in parts}
        decided[title] = (*few, decide(model))
    run.picture("losses", plots.graphs(drawn, "epoch", "loss"), "The two losses of each network.")
    caption = "What each decides (blue: the ring), and the few examples."
    run.picture("boundaries", plots.decisions(decided), caption)


def end(losses):
    """Mean of the last tenth of the epochs, of one at least."""
    return float(np.mean(losses[-max(1, len(losses) // 10) :]))


def diagnose(training, validation):
    """ "underfit", "fit" or "overfit": what two curves, a mean loss an epoch each, tell."""
    if end(training) > HIGH * GUESSING:
        return "underfit"
    return "overfit" if end(validation) > RISEN * min(validation) else "fit"


def figures(training, validation):
    """What ``diagnose`` compares, as a phrase."""
    return (
        f"training ends at {end(training) / GUESSING:.0%} of guessing (underfit above {HIGH:.0%}), "
        f"validation at {end(validation) / min(validation):.2f} of its lowest (overfit above "
        f"{RISEN})"
    )


def decide(model):
    """What ``plots.decisions`` takes."""

    def margin(points):
        logits = model.predict(points, batch_size=5000, verbose=0)
        return logits[:, 1] - logits[:, 0]

    return margin
