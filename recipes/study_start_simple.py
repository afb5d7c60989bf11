"""What each step up from a guess gains, and what it costs.

    python -m recipes run study_start_simple

Ng 2018, "Machine Learning Yearning", chapter 13: build a first system quickly, then iterate; and
Zinkevich, "Rules of Machine Learning", rule 4: keep the first model simple. Four answers to which
digit a picture shows, on 5,000 digits of MNIST (LeCun et al. 1998): the most frequent digit, a
linear model, a small network with a hidden layer of 32 units, and a large one, the convolutional
network of cnn_mnist. All train on the same batches. The cost of an answer is its multiplications
by weights, of dense and convolutional layers, for a picture; the gain is in test accuracy.

The linear model has most of the gain if it has half of the best one's over guessing or more. Each
step up to the next answer is to gain, for each multiplication that it adds, a tenth at most of what
the step before gained.
"""

import itertools
import math
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from recipes.data import mnist_subset
from recipes.training import plots
from recipes.training.evaluate import classify
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Seed
from zoo.convolutional.mnist_cnn import mnist_cnn

MOST, LESS = 0.5, 0.1
LADDER = ("majority", "linear", "small", "large")


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: images a step
        learning_rate: Adam's at the first step, of all models; it falls to 0 along a cosine
        seed: decides initial weights, validation part, shuffles and dropout
    """

    epochs: PositiveInt = 5
    batch_size: PositiveInt = 64
    learning_rate: PositiveFloat = 2e-3
    seed: Seed = 0


def on_pixels(name, *parts):
    """(B, 28, 28, 1) of 0 to 255 -> (B, 10) logits."""
    pixels = keras.Input((28, 28, 1), name="pixels")
    return keras.Sequential([pixels, layers.Rescaling(1 / 255), *parts], name=name)


def main(config, run):
    train, validation, test = run.load(mnist_subset)

    models = {
        "linear": on_pixels("linear", layers.Flatten(), layers.Dense(10)),
        "small": on_pixels("small", layers.Flatten(), layers.Dense(32, "relu"), layers.Dense(10)),
        "large": on_pixels("large", mnist_cnn(batch_norm_momentum=0.9)),
    }
    run.initialize(*models.values())
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def step_of(model):
        schedule = keras.optimizers.schedules.CosineDecay(
            config.learning_rate, run.total_steps(train)
        )

        def compute_loss(images, labels):
            return cross_entropy(labels, model(images, training=True))

        return gradient_step(compute_loss, model, keras.optimizers.Adam(schedule))

    steps = {name: step_of(model) for name, model in models.items()}
    for _ in run.epochs(*steps.values()):
        for batch in run.batches(train):
            run.log(**{f"{name}_loss": step(*batch) for name, step in steps.items()})
        results = {name: classify(model, validation) for name, model in models.items()}
        run.log(**{f"validation_{name}_loss": result.loss for name, result in results.items()})

    most_frequent = np.bincount(train[1]).argmax()
    accuracy = {"majority": float(np.mean(test[1] == most_frequent))}
    accuracy |= {name: classify(model, test).accuracy for name, model in models.items()}
    run.log(**{f"test_{name}_accuracy": each for name, each in accuracy.items()})
    cost = {"majority": 0, **{name: multiplications(model) for name, model in models.items()}}

    share = (accuracy["linear"] - accuracy["majority"]) / (
        max(accuracy.values()) - accuracy["majority"]
    )
    run.verdict(
        "Most of what can be gained over guessing is gained by a linear model",
        share >= MOST,
        f"{share:.0%} of the best gain: {accuracy['majority']:.1%} guessed, "
        f"{accuracy['linear']:.1%} linear, {max(accuracy.values()):.1%} best; {MOST:.0%} is asked",
    )
    steps_up = list(itertools.pairwise(LADDER))
    gains = [100 * (accuracy[after] - accuracy[before]) for before, after in steps_up]
    added = [cost[after] - cost[before] for before, after in steps_up]
    rates = [gain / (more / 1e6) for gain, more in zip(gains, added, strict=True)]
    run.verdict(
        "Each step up gains less for what it costs than the step before",
        falls(rates, LESS),
        "; ".join(
            f"{name} gains {gain:.1f} points and adds {more:,} multiplications"
            for name, gain, more in zip(LADDER[1:], gains, added, strict=True)
        )
        + "; for a multiplication, a tenth of the gain before or less is asked",
    )
    run.save(models["large"])
    run.picture("accuracy", plots.bars(accuracy, "test accuracy"), "What each answers right.")
    run.picture("cost", plots.bars(cost, "multiplications"), "What an answer costs.")


def falls(values, factor):
    """Whether each is less than so many times the one before."""
    return all(after < factor * before for before, after in itertools.pairwise(values))


def multiplications(model):
    """By weights of dense and convolutional layers, for one example.

    A kernel is applied once for each place of its output.
    """
    total = 0
    for layer in model.layers:
        if hasattr(layer, "layers"):
            total += multiplications(layer)
        elif hasattr(layer, "kernel"):
            total += math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1])
    return total
