"""What each step up from a guess gains, and what it costs.

    python -m recipes run study_start_simple --data embedded

Ng 2018, "Machine Learning Yearning", chapter 13: build a first system quickly, then iterate; and
Google's "Rules of Machine Learning" (Zinkevich), rule 4: keep the first model simple. Five answers
to which digit a picture shows, on 5,000 digits of MNIST (LeCun et al. 1998): the most frequent
digit, a linear model, a hidden layer of 128 units, LeNet-5 (the same paper), and the convolutional
network of cnn_mnist. All train on the same batches. The cost of an answer is its multiplications
by weights, of dense and convolutional layers, for a picture; the gain is in test accuracy.

The linear model has most of the gain if it has half of the best one's over guessing or more. Of the
ladder guess, linear model, LeNet-5, convolutional network, each step is to multiply more and gain
less than the one before. The hidden layer has more weights than LeNet-5, and loses to it if it
gains less than half as much over the linear model.
"""

import itertools
import math
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from recipes.data import mnist
from recipes.training import plots
from recipes.training.evaluate import classify
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Seed
from zoo.convolutional.lenet import lenet5
from zoo.convolutional.mnist_cnn import mnist_cnn

MOST, LESS = 0.5, 0.5
LADDER = ("majority", "linear", "lenet5", "cnn")


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: images a step
        learning_rate: Adam's at the first step, of all models; it falls to 0 along a cosine
        seed: decides initial weights, validation part, shuffles and dropout
    """

    epochs: PositiveInt = 8
    batch_size: PositiveInt = 64
    learning_rate: PositiveFloat = 2e-3
    seed: Seed = 0


def on_pixels(name, *parts):
    """(B, 28, 28, 1) of 0 to 255 -> (B, 10) logits."""
    pixels = keras.Input((28, 28, 1), name="pixels")
    return keras.Sequential([pixels, layers.Rescaling(1 / 255), *parts], name=name)


def main(config, run):
    train, validation, test = run.load(mnist)

    models = {
        "linear": on_pixels("linear", layers.Flatten(), layers.Dense(10)),
        "hidden": on_pixels(
            "hidden", layers.Flatten(), layers.Dense(128, "relu"), layers.Dense(10)
        ),
        "lenet5": on_pixels("lenet5", layers.ZeroPadding2D(2), lenet5()),
        "cnn": on_pixels("cnn", mnist_cnn(batch_norm_momentum=0.9)),
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
    gains = [accuracy[after] - accuracy[before] for before, after in itertools.pairwise(LADDER)]
    costs = [cost[name] for name in LADDER]
    run.verdict(
        "Each step costs more and gains less",
        costs == sorted(set(costs)) and gains == sorted(set(gains), reverse=True),
        "; ".join(
            f"{name} gains {100 * gain:.1f} points with {cost[name]:,} multiplications"
            for name, gain in zip(LADDER[1:], gains, strict=True)
        ),
    )
    hidden, lenet = (accuracy[name] - accuracy["linear"] for name in ("hidden", "lenet5"))
    counts = [models[name].count_params() for name in ("hidden", "lenet5")]
    run.verdict(
        "More weights do not gain more where they fit the data less",
        counts[0] > counts[1] and hidden < LESS * lenet,
        f"{100 * hidden:.1f} points over the linear model with a hidden layer of {counts[0]:,} "
        f"parameters, {100 * lenet:.1f} with LeNet-5 of {counts[1]:,}; less than half is asked",
    )
    run.save(models["cnn"])
    run.picture("accuracy", plots.bars(accuracy, "test accuracy"), "What each answers right.")
    run.picture("cost", plots.bars(cost, "multiplications"), "What an answer costs.")


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
