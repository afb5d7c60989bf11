"""Back-propagation by hand, beside what each backend differentiates.

    python -m recipes run study_backpropagation

Rumelhart, Hinton and Williams 1986, "Learning Representations by Back-propagating Errors", Nature
323. A network of three layers is trained on handwritten digits by gradients that ``backward``
computes from the chain rule. At every step they are compared with the automatic ones of the
backend, and at the end, some of each layer, with finite differences of the loss, which NumPy
computes in float64. They are equal if none is further away than 1e-6. The network learns if eight
of ten test digits are right.
"""

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops

from recipes.data import digits
from recipes.training import plots
from recipes.training.evaluate import classify
from recipes.training.gradient_step import gradient_step
from recipes.training.kept_gradients import KeptGradients
from recipes.training.options import PositiveFloat, PositiveInt, Seed
from recipes.training.saved_run import read_run

AS_GOOD_AS_EQUAL = 1e-6
LEARNED = 0.8
NUDGE = 1e-5  # of a weight, for finite differences
NUDGED = 50  # weights of each kernel and bias


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: digits a step
        learning_rate: of gradient descent
        seed: decides initial weights, validation part and shuffles
    """

    epochs: PositiveInt = 10
    batch_size: PositiveInt = 32
    learning_rate: PositiveFloat = 0.3
    seed: Seed = 0


def forward(weights, images):
    """(B, D) -> the outputs of the three layers: (B, 32), (B, 16) and logits (B, 10)."""
    kernel_1, bias_1, kernel_2, bias_2, kernel_3, bias_3 = weights
    hidden_1 = ops.tanh(images @ kernel_1 + bias_1)
    hidden_2 = ops.tanh(hidden_1 @ kernel_2 + bias_2)
    return hidden_1, hidden_2, hidden_2 @ kernel_3 + bias_3


def backward(weights, images, labels):
    """The gradient of the mean cross-entropy to each weight, from the last layer to the first."""
    _, _, kernel_2, _, kernel_3, _ = weights
    hidden_1, hidden_2, logits = forward(weights, images)
    # Of the loss to the logits: what is said less what is true.
    error_3 = (ops.softmax(logits) - ops.one_hot(labels, 10)) / len(labels)
    # Back through a layer by its kernel, and through tanh, whose slope is 1 - tanh^2.
    error_2 = error_3 @ ops.transpose(kernel_3) * (1 - hidden_2**2)
    error_1 = error_2 @ ops.transpose(kernel_2) * (1 - hidden_1**2)
    return [
        gradient
        for inputs, error in ((images, error_1), (hidden_1, error_2), (hidden_2, error_3))
        for gradient in (ops.transpose(inputs) @ error, ops.sum(error, axis=0))
    ]


def main(config, run):
    splits = [(pixels(images), labels) for images, labels in run.load(digits)]
    train, validation, test = splits
    model = keras.Sequential(
        [
            keras.Input((784,)),
            layers.Dense(32, activation="tanh"),
            layers.Dense(16, activation="tanh"),
            layers.Dense(10),
        ],
        name="three_layers",
    )
    run.initialize(model)
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def compute_loss(images, labels):
        return cross_entropy(labels, model(images, training=True))

    kept = KeptGradients()
    automatic = gradient_step(compute_loss, model, kept)  # moves nothing
    for _ in run.epochs(automatic):
        for images, labels in run.batches(train):
            loss = automatic(images, labels)
            by_hand = backward(model.weights, *map(ops.convert_to_tensor, (images, labels)))
            run.log(loss=loss, difference=difference(by_hand, kept.gradients))
            for weight, gradient in zip(model.weights, by_hand, strict=True):
                weight.assign(weight - config.learning_rate * gradient)
        result = classify(model, validation)
        run.log(validation_loss=result.loss, validation_accuracy=result.accuracy)

    result = classify(model, test)
    run.log(test_loss=result.loss, test_accuracy=result.accuracy)
    largest = max(row["difference"] for row in read_run(run.folder).steps)
    run.verdict(
        "The chain rule by hand gives the automatic gradients",
        largest < AS_GOOD_AS_EQUAL,
        f"at most {largest:.1g} apart in {run.total_steps(train)} steps; {AS_GOOD_AS_EQUAL:g} "
        f"allowed",
    )
    images, labels = (array[: config.batch_size] for array in train)
    by_hand = backward(model.weights, *map(ops.convert_to_tensor, (images, labels)))
    chosen, expected = finite_differences(model.get_weights(), images, labels, config.seed)
    found = [flat(gradient)[places] for gradient, places in zip(by_hand, chosen, strict=True)]
    apart = difference(found, expected)
    run.verdict(
        "So do finite differences of the loss",
        apart < AS_GOOD_AS_EQUAL,
        f"at most {apart:.1g} apart; {AS_GOOD_AS_EQUAL:g} allowed",
    )
    run.verdict(
        "A network learns by gradients that are computed by hand",
        result.accuracy > LEARNED,
        f"{result.accuracy:.1%} of the test digits are right; more than {LEARNED:.0%}",
    )
    run.save(model)
    figure = plots.agreement(np.concatenate(expected), np.concatenate(found))
    run.picture("gradients", figure, "By hand (predicted) over finite differences (true).")


def pixels(images):
    """(N, 28, 28, 1) of 0 to 255 -> (N, 784) of 0 to 1."""
    return images.reshape(len(images), -1).astype("float32") / 255


def difference(found, expected):
    """The largest of all."""
    found, expected = (np.concatenate([flat(each) for each in side]) for side in (found, expected))
    return float(np.abs(found - expected).max())


def flat(gradient):
    return ops.convert_to_numpy(gradient).ravel()


def finite_differences(weights, images, labels, seed):
    """Slopes of the loss between two values of a weight, for some weights of each array.

    Returns:
        (places, slopes): for each array of weights the places in it, laid out flat, and theirs.
    """
    random = np.random.default_rng(seed)
    weights = [each.astype("float64", order="C") for each in weights]
    chosen, slopes = [], []
    for array in weights:
        flat = array.ravel()  # a view: what is assigned to it, is to the weights
        places = random.choice(flat.size, min(NUDGED, flat.size), replace=False)
        found = []
        for place in places:
            losses, kept = [], flat[place]
            for nudge in (-NUDGE, NUDGE):
                flat[place] = kept + nudge
                losses.append(loss_in_float64(weights, images, labels))
            flat[place] = kept
            found.append((losses[1] - losses[0]) / (2 * NUDGE))
        chosen.append(places)
        slopes.append(np.array(found))
    return chosen, slopes


def loss_in_float64(weights, images, labels):
    """The mean cross-entropy of the same network, by NumPy alone."""
    kernel_1, bias_1, kernel_2, bias_2, kernel_3, bias_3 = weights
    hidden = np.tanh(np.tanh(images @ kernel_1 + bias_1) @ kernel_2 + bias_2)
    logits = hidden @ kernel_3 + bias_3
    of_labels = logits[np.arange(len(labels)), labels]
    return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - of_labels))
