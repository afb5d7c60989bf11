"""What made deep learning take off: data, rectifiers, faster hardware and automatic gradients.

    python -m recipes run study_ingredients

Goodfellow, Bengio and Courville 2016, "Deep Learning", sections 1.2.2, 1.2.3 and 6.6: larger data
sets, larger networks by way of faster computers and better software, and a few other algorithms,
such as rectifiers in place of sigmoids. All networks learn MNIST in as many steps of Adam: those
of two layers from 100, 300, 1,000 and 3,000 digits, and those of 6 hidden layers with ReLU and with
sigmoids, which begin with the same weights, from all. A larger one takes steps on the CPU and on
the GPU, if there is one. The gradients of two layers are written out by the chain rule, and got by
automatic differentiation.

More data helps if test accuracy rises from each size to the next, and by 10 points in all. ReLU is
faster if it is 10 points of test accuracy ahead at the end, and a GPU if its step takes less than
half the time. Automatic differentiation saves work if it takes fewer lines for the same gradients,
to a thousandth of the largest.
"""

import inspect
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
from recipes.training.kept_gradients import gradients_of
from recipes.training.options import PositiveFloat, PositiveInt, Seed

SIZES = (100, 300, 1000, 3000)
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

    epochs: PositiveInt = 5
    batch_size: PositiveInt = 64
    learning_rate: PositiveFloat = 1e-3
    seed: Seed = 0


def network(name, depth=1, width=64, activation="relu"):
    """Rows of pixels (B, 784), 0 to 255 -> logits (B, 10)."""
    hidden = [layers.Dense(width, activation, kernel_initializer="he_normal") for _ in range(depth)]
    entry = [keras.Input((784,)), layers.Rescaling(1 / 255)]
    return keras.Sequential([*entry, *hidden, layers.Dense(10)], name=name)


def main(config, run):
    train, validation, test = (
        (images.reshape(-1, 784), labels) for images, labels in run.load(mnist_subset)
    )
    models = {f"digits_{size}": network(f"digits_{size}") for size in SIZES}
    models |= {each: network(each, depth=6, activation=each) for each in ("relu", "sigmoid")}
    run.initialize(*models.values())
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
        min(np.diff(by_size)) > 0 and by_size[-1] - by_size[0] >= 0.1,
        "test accuracy "
        + ", ".join(f"{s:.1%} of {size}" for size, s in zip(SIZES, by_size, strict=True)),
    )
    run.verdict(
        "A deep network learns faster with ReLU than with sigmoids",
        scores["relu"] - scores["sigmoid"] >= 0.1,
        f"test accuracy {scores['relu']:.1%} and {scores['sigmoid']:.1%}, 10 points asked",
    )
    compare_devices(run)
    model = models["digits_3000"]
    ways = (gradients_by_hand, gradients_by_autodiff)
    by_hand, automatic = (code_lines(each) for each in ways)
    apart = largest_difference(*(each(model, *validation) for each in ways))
    run.verdict(
        "Automatic differentiation takes fewer lines than the chain rule by hand",
        automatic < by_hand and apart < 1e-3,
        f"{automatic} and {by_hand} lines, and gradients differ by {apart:.0e}",
    )
    run.save(model)
    panels = {"test accuracy": {"two layers": (SIZES, by_size)}}
    figure = plots.graphs(panels, "digits to learn from", logarithmic="x")
    run.picture("data", figure, "Accuracy of networks that learned from 100 to 3,000 digits.")
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
    images, labels = np.zeros((batch_size, 784), "uint8"), np.zeros(batch_size, "int32")
    seconds = []
    with keras.device(device):
        step = step_of(network("large", depth=3, width=width), keras.optimizers.SGD(0.01))
        for _ in range(steps + 2):  # the first ones compile
            start = time.perf_counter()
            ops.convert_to_numpy(step(images, labels))  # which waits until it is computed
            seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[2:]))


def gradients_by_hand(model, images, labels):
    kernel, bias, output_kernel, output_bias = model.trainable_variables
    inputs = images / np.float32(255)
    sums = ops.matmul(inputs, kernel) + bias
    hidden = ops.relu(sums)
    logits = ops.matmul(hidden, output_kernel) + output_bias
    errors = (ops.softmax(logits) - ops.one_hot(labels, 10)) / len(labels)
    below = ops.matmul(errors, ops.transpose(output_kernel)) * ops.cast(sums > 0, "float32")
    kernels = ops.matmul(inputs.T, below), ops.matmul(ops.transpose(hidden), errors)
    biases = ops.sum(below, axis=0), ops.sum(errors, axis=0)
    return [ops.convert_to_numpy(each) for each in (kernels[0], biases[0], kernels[1], biases[1])]


def gradients_by_autodiff(model, images, labels):
    def compute_loss(images, labels):
        kernel, bias, output_kernel, output_bias = model.trainable_variables
        hidden = ops.relu(ops.matmul(ops.cast(images, "float32") / 255, kernel) + bias)
        return CROSS_ENTROPY(labels, ops.matmul(hidden, output_kernel) + output_bias)

    return gradients_of(compute_loss, model, images, labels)


def code_lines(function):
    return sum(bool(line.strip()) for line in inspect.getsource(function).splitlines())


def largest_difference(gradients, others):
    """The largest difference of two lists of arrays, relative to the largest value."""
    pairs = zip(gradients, others, strict=True)
    differences = [np.abs(each - other).max() for each, other in pairs]
    return float(max(differences) / max(np.abs(each).max() for each in gradients))
