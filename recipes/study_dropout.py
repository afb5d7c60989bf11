"""Dropout: a smaller gap between training and test, and hidden units that can be spared.

    python -m recipes run study_dropout

Srivastava et al. 2014, "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", JMLR
15. A network with dropout on its two hidden layers of 256 units and the same one without learn 900
digits. Some have a wrong label, which can only be learned by heart; as many have in the test part.

The gap is narrower if it is so by 3 points: two standard errors of an error rate of 1,000 digits.
Units can be spared better if the network loses less of its accuracy, by 2 points, as those of the
last hidden layer are removed one by one: the mean over all their numbers and over some orders. The
scale is right if the mean over many masks of what a unit receives is within 5 standard errors of
what it receives without dropout: one of 256 is further off by chance in one of 7,000 runs.
"""

from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from custom_layers import Dropout
from recipes.data import few_digits
from recipes.training import plots
from recipes.training.evaluate import classify
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Rate, Seed
from zoo.feedforward.mlp import mlp

LESS_GAP, LESS_LOST, STANDARD_ERRORS = 0.03, 0.02, 5
WIDTH, ORDERS, MASKS = 256, 10, 5000


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: digits a step
        learning_rate: Adam's
        dropout_rate: share of each hidden layer's outputs that is dropped in training
        wrong_labels: share of the labels that are wrong
        seed: decides initial weights, validation part, wrong labels, shuffles, dropout and orders
    """

    epochs: PositiveInt = 60
    batch_size: PositiveInt = 100
    learning_rate: PositiveFloat = 1e-3
    dropout_rate: Rate = 0.5
    wrong_labels: Rate = 0.2
    seed: Seed = 0


def main(config, run):
    train, validation, right_test = run.load(few_digits)
    random = np.random.default_rng(config.seed)
    train, validation, test = (
        few_digits.mislabelled(random, part, config.wrong_labels)
        for part in (train, validation, right_test)
    )

    networks = {
        name: mlp(widths=(WIDTH, WIDTH), dropout_rate=rate, input_dropout_rate=0)
        for name, rate in (("plain", 0), ("dropout", config.dropout_rate))
    }
    run.initialize(*networks.values())
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def step_of(network):
        def compute_loss(pixels, labels):
            return cross_entropy(labels, network(pixels, training=True))

        return gradient_step(compute_loss, network, keras.optimizers.Adam(config.learning_rate))

    steps = {name: step_of(network) for name, network in networks.items()}
    for _ in run.epochs(*steps.values()):
        for batch in run.batches(train):
            run.log(**{f"{name}_loss": step(*batch) for name, step in steps.items()})
        for name, network in networks.items():
            run.log(**{f"validation_{name}_accuracy": classify(network, validation).accuracy})

    gaps, curves, lost = {}, {}, {}
    for name, network in networks.items():
        accuracy = classify(network, test).accuracy
        run.log(**{f"test_{name}_accuracy": accuracy})
        gaps[name] = classify(network, train).accuracy - accuracy
        curves[name] = accuracies_as_units_go(network, right_test, config.seed)
        lost[name] = 1 - curves[name].mean() / curves[name][0]
    digit = right_test[0][:1]
    errors = standard_errors_off(networks["dropout"], digit, config.dropout_rate, config.seed)
    furthest = np.abs(errors).max()

    run.verdict(
        "Dropout narrows the gap between training and test error",
        gaps["dropout"] < gaps["plain"] - LESS_GAP,
        f"{gaps['dropout']:.1%} with it, {gaps['plain']:.1%} without; by {LESS_GAP:.0%} or more",
    )
    run.verdict(
        "A network trained with dropout loses less when hidden units are removed",
        lost["dropout"] < lost["plain"] - LESS_LOST,
        f"{lost['dropout']:.1%} of its accuracy, {lost['plain']:.1%} without; by {LESS_LOST:.0%}",
    )
    run.verdict(
        "Scaled by the share that is kept, dropout leaves the expected input of a unit as it is",
        furthest < STANDARD_ERRORS,
        f"off by at most {furthest:.1f} standard errors, of {WIDTH} units; below {STANDARD_ERRORS}",
    )
    run.save(networks["dropout"])
    drawn = {"": {name: (range(WIDTH + 1), curve) for name, curve in curves.items()}}
    figure = plots.graphs(drawn, "units removed", "test accuracy, on right labels")
    run.picture("removed_units", figure, "Accuracy as units of the last hidden layer are removed.")


def accuracies_as_units_go(network, split, seed):
    """(units + 1,): with 0, 1, ... units of the last hidden layer at zero, the mean over orders."""
    output = network.get_layer("output")
    hidden, kernel, bias = values_at(network, output, split[0])
    random = np.random.default_rng(seed)
    accuracies = np.zeros(len(kernel) + 1)
    for _ in range(ORDERS):
        logits = hidden @ kernel + bias
        accuracies[0] += np.mean(logits.argmax(axis=1) == split[1])
        for count, unit in enumerate(random.permutation(len(kernel)), start=1):
            logits -= np.outer(hidden[:, unit], kernel[unit])
            accuracies[count] += np.mean(logits.argmax(axis=1) == split[1])
    return accuracies / ORDERS


def standard_errors_off(network, example, rate, seed):
    """(units,): how far what the second layer gets, the mean over masks, is from that without."""
    hidden, kernel, bias = values_at(network, network.get_layer("hidden2_dense"), example)
    dropped = Dropout(rate, seed=seed)(np.repeat(hidden, MASKS, axis=0), training=True)
    received = ops.convert_to_numpy(dropped).astype("float64") @ kernel + bias
    standard_errors = received.std(axis=0, ddof=1) / np.sqrt(MASKS)
    return (received.mean(axis=0) - (hidden @ kernel + bias)[0]) / standard_errors


def values_at(network, dense, inputs):
    """(what a dense layer gets in inference, its kernel, its bias), float64."""
    below = keras.Model(network.input, dense.input)
    values = below.predict(inputs, verbose=0), *dense.get_weights()
    return [np.asarray(each, "float64") for each in values]
