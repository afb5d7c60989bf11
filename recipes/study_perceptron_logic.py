"""What a perceptron can learn, and what takes a second layer.

    python -m recipes run study_perceptron_logic

Rosenblatt 1958, "The Perceptron", Psychological Review 65: a unit that fires or not, and a rule
by which it learns from its mistakes. Three perceptrons learn AND, OR and XOR, an example a step,
and a network of two layers (Rumelhart, Hinton and Williams 1986, Nature 323) learns XOR by
gradients. A line parts the two classes of AND and of OR, and no line those of XOR (Minsky and
Papert 1969, "Perceptrons").

A gate is learned if all four of its examples are right at the end.
"""

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops

from recipes.data import logic
from recipes.training import plots
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Seed
from zoo.feedforward.perceptron import perceptron, perceptron_loss, step

GATES = ("and", "or", "xor")


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the four examples
        batch_size: examples a step; Rosenblatt's rule has 1
        learning_rate: Adam's, of the network with two layers
        hidden_units: of the network with two layers
        seed: decides initial weights and shuffles
    """

    epochs: PositiveInt = 100
    batch_size: PositiveInt = 1
    learning_rate: PositiveFloat = 0.05
    hidden_units: PositiveInt = 4
    seed: Seed = 0


def main(config, run):
    train, validation, test = run.load(logic)

    perceptrons = {gate: perceptron() for gate in GATES}
    network = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(config.hidden_units, activation="tanh"),
            layers.Dense(1),
        ],
        name="two_layers",
    )
    run.initialize(*perceptrons.values(), network)
    cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)

    def rosenblatt(gate):
        """A step of his rule: gradient descent on what is wrong, at a learning rate of 1."""

        def compute_loss(inputs, labels):
            return perceptron_loss(labels, perceptrons[gate](inputs, training=True))

        return gradient_step(compute_loss, perceptrons[gate], keras.optimizers.SGD(1.0))

    def network_loss(inputs, labels):
        return cross_entropy(labels, network(inputs, training=True))

    steps = {gate: rosenblatt(gate) for gate in GATES}
    network_step = gradient_step(network_loss, network, keras.optimizers.Adam(config.learning_rate))
    for _ in run.epochs(network_step, *steps.values()):
        for inputs, *labels in run.batches(train):
            run.log(
                **{
                    f"{gate}_loss": steps[gate](inputs, each)
                    for gate, each in zip(GATES, labels, strict=True)
                },
                two_layers_loss=network_step(inputs, labels[-1]),
            )
        scores = accuracies({**perceptrons, "two_layers": network}, validation)
        run.log(**{f"validation_{name}_accuracy": score for name, score in scores.items()})

    scores = accuracies({**perceptrons, "two_layers": network}, test)
    run.log(**{f"test_{name}_accuracy": score for name, score in scores.items()})
    for gate in ("and", "or"):
        run.verdict(f"A perceptron learns {gate.upper()}", scores[gate] == 1, right(scores[gate]))
    run.verdict("A perceptron cannot learn XOR", scores["xor"] < 1, right(scores["xor"]))
    run.verdict(
        "A network of two layers learns XOR", scores["two_layers"] == 1, right(scores["two_layers"])
    )
    run.save(network)
    inputs, *labels = test
    drawn = {
        gate.upper(): (perceptrons[gate], each) for gate, each in zip(GATES, labels, strict=True)
    }
    drawn["XOR, two layers"] = network, labels[-1]
    figure = plots.decisions(
        {title: (inputs, each.ravel(), decide(model)) for title, (model, each) in drawn.items()}
    )
    run.picture("boundaries", figure, "Where each fires (blue), and the four examples.")


def accuracies(models, split):
    """{name: share of the four examples that are right}; each gate has its own labels."""
    inputs, *labels = split
    targets = dict(zip(GATES, labels, strict=True))
    return {
        name: float(np.mean(fires(model, inputs) == targets.get(name, targets["xor"])))
        for name, model in models.items()
    }


def fires(model, inputs):
    """(B, 2) -> (B, 1): 1 where the logit is above 0."""
    return ops.convert_to_numpy(step(model(inputs)))


def decide(model):
    """What ``plots.decisions`` takes."""
    return lambda places: ops.convert_to_numpy(model(places))


def right(share):
    return f"{share:.0%} of the examples are right"
