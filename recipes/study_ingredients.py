"""What made deep learning take off: data, rectifiers, faster hardware and automatic gradients.

    python -m recipes run study_ingredients

Goodfellow, Bengio and Courville 2016, "Deep Learning", sections 1.2.2, 1.2.3 and 6.6: larger data
sets, larger networks by way of faster computers and better software, and a few other algorithms,
such as rectifiers in place of sigmoids. All networks learn MNIST in as many steps of Adam: those
of two layers from 30, 300 and 3,000 digits, and those of 6 hidden layers with ReLU and with
sigmoids, which begin with the same weights, from all. A larger one takes steps on the CPU and on
the GPU, if there is one. A loop that trains two layers is written out twice: with the chain rule
by hand, and with automatic differentiation.

More data helps if ten times as many digits bring 3 points of test accuracy or more, both times.
ReLU is faster if it is 10 points of test accuracy ahead at the end, and a GPU if its step takes
less than half the time. Automatic differentiation saves work if its loop has fewer lines, and all
weights change as they do by hand, to a ten-thousandth of the largest change.
"""

import ast
import inspect
import textwrap
import time
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops

from recipes.data import mnist_subset
from recipes.training import plots
from recipes.training.backend import accelerator
from recipes.training.evaluate import classify
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Seed

SIZES = (30, 300, 3000)
RISE = 0.03  # of test accuracy, from each size to the next
AHEAD = 0.1
AS_GOOD_AS_EQUAL = 1e-4
LOOP_STEPS = 50
LOOP_RATE = 0.1  # of gradient descent
CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part, of the deep networks
        batch_size: images a step
        learning_rate: Adam's
        seed: decides initial weights, validation part, shuffles, and what is drawn of few digits
    """

    epochs: PositiveInt = 10
    batch_size: PositiveInt = 64
    learning_rate: PositiveFloat = 1e-3
    seed: Seed = 0


def network(name, depth=1, width=64, activation="relu"):
    """Pixels (B, 28, 28, 1), 0 to 255 -> logits (B, 10)."""
    hidden = [layers.Dense(width, activation, kernel_initializer="he_normal") for _ in range(depth)]
    entry = [keras.Input((28, 28, 1)), layers.Flatten(), layers.Rescaling(1 / 255)]
    return keras.Sequential([*entry, *hidden, layers.Dense(10)], name=name)


def main(config, run):
    train, validation, test = run.load(mnist_subset)
    models = {f"digits_{size}": network(f"digits_{size}") for size in SIZES}
    models |= {each: network(each, depth=6, activation=each) for each in ("relu", "sigmoid")}
    loop = network("loop")
    run.initialize(*models.values(), loop)
    models["sigmoid"].set_weights(models["relu"].get_weights())

    def with_parts(random, *batch):
        """{model: the batch of a step}, drawn for each size from so many digits."""
        drawn = [random.choice(spread(len(train[0]), size), config.batch_size) for size in SIZES]
        parts = [tuple(array[indices] for array in train) for indices in drawn]
        return dict(zip(models, [*parts, batch, batch], strict=True))

    steps = {
        name: step_of(model, keras.optimizers.Adam(config.learning_rate))
        for name, model in models.items()
    }
    for _ in run.epochs(*steps.values()):
        for batches in run.batches(train, with_parts):
            run.log(**{f"{name}_loss": step(*batches[name]) for name, step in steps.items()})
        scores = {name: classify(model, validation).accuracy for name, model in models.items()}
        run.log(**{f"validation_{name}_accuracy": score for name, score in scores.items()})

    scores = {name: classify(model, test).accuracy for name, model in models.items()}
    run.log(**{f"test_{name}_accuracy": score for name, score in scores.items()})
    by_size = [scores[f"digits_{size}"] for size in SIZES]
    run.verdict(
        "More data makes a better network",
        min(np.diff(by_size)) >= RISE,
        "test accuracy "
        + ", ".join(f"{s:.1%} of {size}" for size, s in zip(SIZES, by_size, strict=True))
        + f", {100 * RISE:g} points asked each time",
    )
    run.verdict(
        "A deep network learns faster with ReLU than with sigmoids",
        scores["relu"] - scores["sigmoid"] >= AHEAD,
        f"test accuracy {scores['relu']:.1%} and {scores['sigmoid']:.1%}, "
        f"{100 * AHEAD:g} points asked",
    )
    compare_devices(run)
    compare_loops(run, loop, train)
    run.save(models["digits_3000"])
    panels = {"test accuracy": {"two layers": (SIZES, by_size)}}
    figure = plots.graphs(panels, "digits to learn from", logarithmic="x")
    run.picture("data", figure, "Accuracy of networks that learned from 30 to 3,000 digits.")
    deep = {f"{each}, 6 hidden layers": 100 * scores[each] for each in ("relu", "sigmoid")}
    run.picture("depth", plots.bars(deep, "% of the test digits"), "What deep networks get right.")


def step_of(model, optimizer):
    def compute_loss(images, labels):
        return CROSS_ENTROPY(labels, model(images, training=True))

    return gradient_step(compute_loss, model, optimizer)


def spread(count, size):
    """``size`` of ``count`` positions, evenly: the digits lie class by class."""
    return np.linspace(0, count, size, endpoint=False, dtype=int)


def compare_devices(run):
    """Times are no figures that a run repeats: they are in the verdict alone."""
    statement = "A GPU takes a step of a large network in less than half of the CPU's time"
    if accelerator() is None:
        run.verdict(statement, None, "there is no GPU")
    else:
        cpu, gpu = (1000 * seconds_a_step(device) for device in ("cpu:0", "gpu:0"))
        run.verdict(statement, gpu < cpu / 2, f"{gpu:.3g} ms, and {cpu:.3g} ms on the CPU")


def seconds_a_step(device, width=2048, batch_size=1024, steps=10):
    """Median of the seconds of a step, on a device such as "cpu:0"."""
    images, labels = np.zeros((batch_size, 28, 28, 1), "uint8"), np.zeros(batch_size, "int32")
    seconds = []
    with keras.device(device):
        step = step_of(network("large", depth=3, width=width), keras.optimizers.SGD(0.01))
        for _ in range(steps + 2):  # the first ones compile
            start = time.perf_counter()
            ops.convert_to_numpy(step(images, labels))  # which waits until it is computed
            seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[2:]))


def compare_loops(run, model, train):
    """Both loops begin with the model's weights and see the same digits of each class."""
    images, labels = train
    inputs = images.reshape(-1, 784) / np.float32(255)
    batches = [
        [ops.convert_to_tensor(array[first::LOOP_STEPS]) for array in (inputs, labels)]
        for first in range(LOOP_STEPS)
    ]
    before, changes = model.get_weights(), []
    for learn in (learn_by_hand, learn_by_autodiff):
        model.set_weights(before)
        learn(model, batches)
        pairs = zip(model.get_weights(), before, strict=True)
        changes.append([new - old for new, old in pairs])
    by_hand, automatic = code_lines(learn_by_hand), code_lines(learn_by_autodiff)
    apart = largest_difference(*changes)
    run.verdict(
        "A training loop takes fewer lines with automatic differentiation than by hand",
        automatic < by_hand and apart < AS_GOOD_AS_EQUAL,
        f"{automatic} and {by_hand} lines; the weights change by the same in {LOOP_STEPS} steps, "
        f"to {apart:.0e} of the largest change; {AS_GOOD_AS_EQUAL:g} allowed",
    )


def learn_by_hand(model, batches):
    """Trains a network of two layers on batches of (B, 784) and (B,): errors go back by hand."""
    kernel, bias, output_kernel, output_bias = model.weights
    for inputs, labels in batches:
        sums = inputs @ kernel + bias
        hidden = ops.relu(sums)
        logits = hidden @ output_kernel + output_bias
        errors = (ops.softmax(logits) - ops.one_hot(labels, 10)) / len(labels)
        below = errors @ ops.transpose(output_kernel) * ops.cast(sums > 0, "float32")
        output_kernel.assign_sub(LOOP_RATE * (ops.transpose(hidden) @ errors))
        output_bias.assign_sub(LOOP_RATE * ops.sum(errors, axis=0))
        kernel.assign_sub(LOOP_RATE * (ops.transpose(inputs) @ below))
        bias.assign_sub(LOOP_RATE * ops.sum(below, axis=0))


def learn_by_autodiff(model, batches):
    """Trains the same network, written out as it is there, on the same batches."""

    def compute_loss(inputs, labels):
        kernel, bias, output_kernel, output_bias = model.weights
        hidden = ops.relu(inputs @ kernel + bias)
        logits = hidden @ output_kernel + output_bias
        return CROSS_ENTROPY(labels, logits)

    step = gradient_step(compute_loss, model, keras.optimizers.SGD(LOOP_RATE))
    for inputs, labels in batches:
        step(inputs, labels)


def code_lines(function):
    """Lines of code of a function, written out a statement a line, without its docstring."""
    (written,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    statements = written.body[1:] if ast.get_docstring(written) else written.body
    lines = [line for each in statements for line in ast.unparse(each).splitlines() if line]
    return 1 + len(lines)


def largest_difference(changes, others):
    """The largest difference of two lists of arrays, relative to the largest value."""
    pairs = zip(changes, others, strict=True)
    differences = [np.abs(each - other).max() for each, other in pairs]
    return float(max(differences) / max(np.abs(each).max() for each in changes))
