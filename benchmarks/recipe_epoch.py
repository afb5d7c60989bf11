"""One epoch of the recipe cnn_mnist, with all that a run does, against a bare native loop.

The recipe reads its data, shuffles, shows progress, logs each step, validates, tests, saves the
model, draws pictures and writes the report. The bare loop shuffles and trains in the framework's
own idiom, and then evaluates the recipe's model on as many examples. The digits are noise: what is
learned does not change the time.
"""

import tempfile
from functools import partial
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import keras
import numpy as np
from keras import layers

from benchmarks.networks import NETWORKS
from benchmarks.side_by_side import ratio, seconds, write
from benchmarks.training_step import native_steps
from recipes import cnn_mnist
from recipes.data import batches as batching
from recipes.training.evaluate import classify
from recipes.training.options import Options
from recipes.training.run import VALIDATION_FRACTION, Run


def noise(training_examples, test_examples):
    """A module of data, as recipes.data has them, of random digits."""
    generator = np.random.default_rng(0)

    def split(count):
        images = generator.integers(0, 256, (count, 28, 28, 1), "uint8")
        return images, generator.integers(0, 10, count, "int32")

    training, test = split(training_examples), split(test_examples)
    return SimpleNamespace(NAME="noise", EMBEDDED="noise", embedded=lambda: (training, test))


def recipe(data, config, runs):
    """Runs the recipe, report and all."""
    with Run("cnn_mnist", config, Options(data="embedded", runs=runs)) as run:
        load = run.load
        run.load = lambda _: load(data)
        cnn_mnist.main(config, run)


def bare_loop(data, config, sizes, model, way):
    """Trains an epoch by hand, and evaluates ``model`` on the validation and test parts."""
    step = native_steps("cnn", sizes, model.layers[-1])[way]  # anew: so does the recipe
    training, test = data.embedded()
    training, validation = batching.cut_validation(training, VALIDATION_FRACTION, config.seed)
    losses = [
        step(images.astype("float32") / 255, labels)
        for images, labels in batching.batches(training, config.batch_size, config.seed, 1)
    ]
    print(f"loss {np.mean([float(loss) for loss in losses]):.4f}")
    for split in (validation, test):
        print(f"accuracy {classify(model, split).accuracy:.4f}")


def main(training_examples=60_000, test_examples=10_000, rounds=2, folder=None):
    data = noise(training_examples, test_examples)
    config = cnn_mnist.Config(epochs=1)
    sizes = NETWORKS["cnn"].sizes
    network = NETWORKS["cnn"].build(**sizes)
    model = keras.Sequential([keras.Input((28, 28, 1)), layers.Rescaling(1 / 255), network])
    with tempfile.TemporaryDirectory() as runs:
        sides = {"recipe": partial(recipe, data, config, Path(runs))}
        for way in native_steps("cnn", sizes, network):
            sides[f"native {way}"] = partial(bare_loop, data, config, sizes, model, way)
        found = seconds(sides, rounds)
    fastest = min(
        (side for side in sides if side != "recipe"), key=lambda side: median(found[side])
    )
    row = ratio(
        "epoch of cnn_mnist, recipe / bare native loop, seconds",
        found["recipe"],
        found[fastest],
        fastest=fastest,
    )
    write("recipe_epoch", [row], folder)
