"""The time from the start of Python to the end of the first training step, of the CNN of cnn_mnist.

Ours is the zoo's model and our step; bare Keras the same network of Keras's own layers, and
``train_on_batch``. Each start is a process of its own.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

PARTS = ("import", "build", "first step")


def ours():
    """Yields after each part."""
    import keras
    import numpy as np

    from recipes.training.gradient_step import gradient_step
    from zoo.convolutional.mnist_cnn import mnist_cnn

    yield
    model = mnist_cnn()
    yield
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    step = gradient_step(
        lambda images, labels: cross_entropy(labels, model(images, training=True)),
        model,
        keras.optimizers.Adam(),
    )
    float(keras.ops.convert_to_numpy(step(np.zeros((128, 28, 28, 1)), np.zeros(128))))
    yield


def keras_alone():
    """Yields after each part."""
    import keras
    import numpy as np
    from keras import layers

    yield
    x = image = keras.Input((28, 28, 1))
    for filters in (32, 64):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(layers.MaxPooling2D(2)(x))
        x = layers.LeakyReLU(negative_slope=0.01)(x)
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    x = layers.Dropout(0.5)(layers.Dense(128, "gelu")(x))
    model = keras.Model(image, layers.Dense(10)(x))
    yield
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(), cross_entropy)
    model.train_on_batch(np.zeros((128, 28, 28, 1)), np.zeros(128))
    yield


SIDES = {"ours": ours, "Keras": keras_alone}


def start(side):
    """Seconds of a new process: {part: of that part, "whole": with Python's own start}."""
    began = time.perf_counter()
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks.start", side],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    parts = json.loads(finished.stdout.splitlines()[-1])
    return {**parts, "whole": time.perf_counter() - began}


def main(rounds=7, folder=None):
    from benchmarks.side_by_side import ratio, write

    starts = {side: [] for side in SIDES}
    for number in range(rounds + 1):
        for side in list(SIDES)[:: 1 if number % 2 else -1]:
            starts[side].append(start(side))
    rows = []
    for part in (*PARTS, "whole"):
        # The first of each is left out: it reads the files that the others find in memory.
        found = {side: [each[part] for each in starts[side][1:]] for side in SIDES}
        rows.append(
            ratio(f"start, {part}, ours / bare Keras, seconds", found["ours"], found["Keras"])
        )
    write("start", rows, folder)


def _time_parts(side):
    """{part: seconds}."""
    generator = SIDES[side]()
    found = {}
    for part in PARTS:
        began = time.perf_counter()
        next(generator)
        found[part] = time.perf_counter() - began
    return found


if __name__ == "__main__":
    print(json.dumps(_time_parts(sys.argv[1])))
