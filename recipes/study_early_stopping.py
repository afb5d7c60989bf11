"""Early stopping: where the validation loss turns, and what the weights of that moment are worth.

    python -m recipes run study_early_stopping

Prechelt 1998, "Early Stopping - But When?", in "Neural Networks: Tricks of the Trade"; Goodfellow
et al. 2016, "Deep Learning", section 7.8. A network learns 400 digits of MNIST by heart. A second
one keeps the weights that it had in the epoch of the lowest validation loss, where early stopping
would have left it, and both are tested.

The validation loss turns if it ends 10 % above its lowest, while the training loss has fallen to
less than half. The weights of the turn have the lower test loss if it is 5 % lower, and are more
accurate if 1 % more of the digits are right, about the standard error of 1,000. The end is surer of
its mistakes if it gives them 5 points more of probability.

The option --patience, which every recipe has, ends a run whose validation loss has not become
better for so many epochs, with the weights of the best one: both networks are one then. What a
patience of 10 would have done is told from the losses of this run.
"""

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops

from recipes.data import mnist_subset
from recipes.training import plots
from recipes.training.early_stopping import EarlyStopping
from recipes.training.evaluate import classify
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Seed
from recipes.training.saved_run import read_run
from zoo.feedforward.mlp import mlp

PATIENCE = 10


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the examples
        batch_size: images a step
        learning_rate: Adam's
        examples: digits that are learned; few, so that they can be learned by heart
        seed: decides initial weights, validation part and shuffles
    """

    epochs: PositiveInt = 60
    batch_size: PositiveInt = 40
    learning_rate: PositiveFloat = 3e-3
    examples: PositiveInt = 400
    seed: Seed = 0


def main(config, run):
    train, validation, test = run.load(mnist_subset)
    # Evenly from all, as digits of a class may lie together.
    every = max(1, len(train[0]) // config.examples)
    train = tuple(array[::every][: config.examples] for array in train)

    model, best = network("end"), network("best")
    run.initialize(model, best)
    # A variable and not a number, so that a checkpoint has it, as it has the best weights.
    best_loss = keras.Variable(np.inf, dtype="float32", trainable=False, name="best_loss")
    optimizer = keras.optimizers.Adam(config.learning_rate)
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def compute_loss(images, labels):
        return cross_entropy(labels, model(images, training=True))

    step = gradient_step(compute_loss, model, optimizer, reads=[best, best_loss])
    for _ in run.epochs(step):
        for batch in run.batches(train):
            run.log(loss=step(*batch))
        result = classify(model, validation)
        loss = np.float32(result.loss)  # as the variable keeps it
        run.log(validation_loss=loss, validation_accuracy=result.accuracy)
        if loss < ops.convert_to_numpy(best_loss):
            best_loss.assign(loss)
            for kept, weight in zip(best.weights, model.weights, strict=True):
                kept.assign(ops.copy(weight))

    results = {"end": classify(model, test), "best": classify(best, test)}
    for name, result in results.items():
        run.log(**{f"test_{name}_loss": result.loss, f"test_{name}_accuracy": result.accuracy})
    rows = read_run(run.folder).epochs
    training, losses = (
        [row[f"{name}_loss"] for row in rows] for name in ("training", "validation")
    )
    turn = int(np.argmin(losses))
    run.verdict(
        "The validation loss turns while the training loss falls on",
        losses[-1] > 1.1 * losses[turn] and training[-1] < 0.5 * training[turn],
        f"from epoch {turn + 1} to {len(rows)} from {losses[turn]:.3f} to {losses[-1]:.3f}, and "
        f"from {training[turn]:.4f} to {training[-1]:.4f}; thresholds 10% up and half",
    )
    end, stopped = results["end"], results["best"]
    run.verdict(
        "The weights of the turn have the lower test loss",
        stopped.loss < 0.95 * end.loss,
        f"{stopped.loss:.3f}, and {end.loss:.3f} at the end; threshold 5%",
    )
    run.verdict(
        "The weights of the turn are more accurate",
        stopped.accuracy >= end.accuracy + 0.01,
        f"{stopped.accuracy:.1%}, and {end.accuracy:.1%} at the end; threshold 1 point",
    )
    run.verdict(
        "The weights of the end are surer of their mistakes",
        surety_of_mistakes(end) > surety_of_mistakes(stopped) + 0.05,
        f"{surety_of_mistakes(end):.0%}, and {surety_of_mistakes(stopped):.0%} at the turn; "
        f"threshold 5 points",
    )
    stops, kept = stopped_by(PATIENCE, losses)
    run.verdict(
        f"A patience of {PATIENCE} epochs finds the turn and saves the rest",
        stops is not None and stops < len(rows) and kept == turn + 1,
        f"it stops {f'after epoch {stops}' if stops else 'never'} of {len(rows)} and keeps epoch "
        f"{kept}; the turn is at {turn + 1}",
    )
    run.save(best)
    epochs = range(1, len(rows) + 1)
    panel = {"training": (epochs, training), "validation": (epochs, losses)}
    panel["best epoch"] = ([turn + 1] * 2, [min(training), max(losses)])
    figure = plots.graphs({"loss": panel}, "epoch", logarithmic="y")
    run.picture("turn", figure, "The validation loss turns, and the training loss falls on.")
    figure = plots.bars({name: each.loss for name, each in results.items()}, "test loss")
    run.picture("test_loss", figure, "Of the last epoch, and of the best.")


def network(name):
    """(B, 28, 28, 1) -> logits (B, 10)."""
    hidden = mlp(input_shape=(28, 28, 1), widths=(128,), dropout_rate=0, input_dropout_rate=0)
    return keras.Sequential(
        [keras.Input((28, 28, 1)), layers.Rescaling(1 / 255), hidden], name=name
    )


def surety_of_mistakes(result):
    """Mean probability that a ``Classification`` gives to what it takes wrongly."""
    return float(result.confidence[result.predicted != result.labels].mean())


def stopped_by(patience, losses):
    """(the epoch after which a patience ends a run of such losses or None, the epoch it keeps)."""
    stopping = EarlyStopping(patience, min_delta=0.0)
    for epoch, loss in enumerate(losses, start=1):
        stopping.update(epoch, loss)
        if stopping.stopped:
            return epoch, stopping.best["epoch"]
    return None, stopping.best["epoch"]
