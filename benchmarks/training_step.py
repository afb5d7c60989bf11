"""A training step of ours against Keras's ``fit``, on the same model and the same batches."""

import keras
import numpy as np

from benchmarks.side_by_side import ratio, write
from recipes.training.gradient_step import gradient_step
from zoo.convolutional.mnist_cnn import mnist_cnn

BATCH_SIZE = 128


def cnn(seed):
    keras.utils.set_random_seed(seed)
    return mnist_cnn(batch_norm_momentum=0.9), keras.optimizers.Adam(1e-3)


def ours_against_fit(steps, rounds, batch_size):
    """Ratio for ``steps`` training steps of the CNN of cnn_mnist, and proof of equal work.

    Returns:
        (the row of the table, the weights of both sides after the same steps).
    """
    generator = np.random.default_rng(0)
    images = generator.normal(size=(steps * batch_size, 28, 28, 1)).astype("float32")
    labels = generator.integers(0, 10, steps * batch_size).astype("int32")
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    fitted, optimizer = cnn(seed=0)
    fitted.compile(optimizer, cross_entropy)

    stepped, optimizer = cnn(seed=0)
    stepped.set_weights(fitted.get_weights())
    step = gradient_step(
        lambda x, y: cross_entropy(y, stepped(x, training=True)), stepped, optimizer
    )

    def ours():
        for start in range(0, len(images), batch_size):
            batch = slice(start, start + batch_size)
            loss = step(images[batch], labels[batch])
        return float(keras.ops.convert_to_numpy(loss))  # waits for the device

    def theirs():
        fitted.fit(images, labels, batch_size, shuffle=False, verbose=0)

    row = {"what": "cnn_mnist step, ours / Keras fit", **ratio(ours, theirs, rounds)}
    for side in ("ours_seconds", "theirs_seconds"):
        row[side] /= steps
    return row, (stepped.get_weights(), fitted.get_weights())


def main(steps=20, rounds=15, batch_size=BATCH_SIZE):
    row, _ = ours_against_fit(steps, rounds, batch_size)
    write("training_step", [row])
