"""How a high learning rate kills units with ReLU, and what Leaky ReLU does about it.

    python -m recipes run study_dead_units

A unit that is positive for no example passes no gradient through ReLU, so that it never changes
again: it is dead. Leaky ReLU (Maas, Hannun and Ng 2013, "Rectifier Nonlinearities Improve Neural
Network Acoustic Models") keeps a small slope below 0 and with it a gradient. Three networks of two
hidden layers learn MNIST by Adam: with ReLU at a usual learning rate and at a high one, and with
Leaky ReLU at the high one.

A unit is dead if no training digit makes it positive, and has no gradient if that of the training
loss is 0 for all of its weights. A rate kills units if at least a tenth of them are dead.
"""

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops

from custom_layers import LeakyReLU
from recipes.data import mnist_subset
from recipes.training import plots
from recipes.training.evaluate import classify
from recipes.training.gradient_step import gradient_step
from recipes.training.kept_gradients import gradients_of
from recipes.training.options import PositiveFloat, PositiveInt, Seed

DEAD = 0.1


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: images a step
        learning_rate: Adam's, the usual one
        high_rate: Adam's, the high one
        width: units of each hidden layer
        seed: decides initial weights, validation part and shuffles
    """

    epochs: PositiveInt = 10
    batch_size: PositiveInt = 64
    learning_rate: PositiveFloat = 1e-3
    high_rate: PositiveFloat = 0.05
    width: PositiveInt = 64
    seed: Seed = 0


def main(config, run):
    train, validation, test = run.load(mnist_subset)

    compared = {
        "relu": (layers.ReLU, config.learning_rate),
        "relu_high_rate": (layers.ReLU, config.high_rate),
        "leaky_relu_high_rate": (LeakyReLU, config.high_rate),
    }
    models = {
        name: network(activation, config.width, name) for name, (activation, _) in compared.items()
    }
    run.initialize(*models.values())
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def loss_of(model):
        return lambda images, labels: cross_entropy(labels, model(images, training=True))

    steps = {
        name: gradient_step(loss_of(models[name]), models[name], keras.optimizers.Adam(rate))
        for name, (_, rate) in compared.items()
    }
    for _ in run.epochs(*steps.values()):
        for batch in run.batches(train):
            run.log(**{f"{name}_loss": step(*batch) for name, step in steps.items()})
        for name, model in models.items():
            run.log(**{f"validation_{name}_accuracy": classify(model, validation).accuracy})

    for name, model in models.items():
        run.log(**{f"test_{name}_accuracy": classify(model, test).accuracy})
    dead = {name: dead_units(model, train[0]) for name, model in models.items()}
    idle = {
        name: units_without_gradient(gradients_of(loss_of(model), model, *train))
        for name, model in models.items()
    }
    run.verdict(
        "A high learning rate kills units with ReLU, and a usual one does not",
        dead["relu_high_rate"] >= DEAD > dead["relu"],
        f"dead {dead['relu_high_rate']:.0%} and {dead['relu']:.0%}, {DEAD:.0%} asked",
    )
    run.verdict(
        "Dead units with ReLU have no gradient",
        idle["relu_high_rate"] >= dead["relu_high_rate"] > 0,
        f"dead {dead['relu_high_rate']:.0%}, without gradient {idle['relu_high_rate']:.0%}",
    )
    run.verdict(
        "Units with Leaky ReLU have one, also those that are never positive",
        idle["leaky_relu_high_rate"] == 0 < dead["leaky_relu_high_rate"],
        f"never positive {dead['leaky_relu_high_rate']:.0%}, without gradient "
        f"{idle['leaky_relu_high_rate']:.0%}",
    )
    run.save(models["leaky_relu_high_rate"])
    shares = {f"{plots.words(name)}, dead": 100 * share for name, share in dead.items()}
    shares |= {f"{plots.words(name)}, no gradient": 100 * each for name, each in idle.items()}
    figure = plots.bars(shares, "% of the hidden units")
    run.picture("units", figure, "Hidden units at the end, by all training digits.")


def network(activation, width, name):
    """Images (B, 28, 28, 1) -> logits (B, 10)."""
    model = keras.Sequential(
        [keras.Input((28, 28, 1)), layers.Rescaling(1 / 255), layers.Flatten()], name=name
    )
    for _ in range(2):
        model.add(layers.Dense(width, kernel_initializer="he_normal"))
        model.add(activation())
    model.add(layers.Dense(10))
    return model


def dead_units(model, images):
    """Share of the hidden units that no image makes positive."""
    hidden = [each.output for each in model.layers if isinstance(each, (layers.ReLU, LeakyReLU))]
    outputs = keras.Model(model.inputs[0], hidden)(images)
    return float(np.mean([ops.convert_to_numpy(each).max(axis=0) <= 0 for each in outputs]))


def units_without_gradient(gradients):
    """Share of the hidden units, of gradients (kernel, bias, ..., those of the output)."""
    kernels = gradients[:-2:2]  # each (inputs, units)
    return float(np.mean([~each.any(axis=0) for each in kernels]))
