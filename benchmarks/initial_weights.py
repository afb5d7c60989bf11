"""What it costs that NumPy draws a model's initial weights: a build with a seed and one without.

With a seed Keras draws first, as ever, and NumPy draws again.
"""

from functools import partial

import keras
from keras import layers

from benchmarks.side_by_side import ratio, seconds, write
from zoo.convolutional.mnist_cnn import mnist_cnn
from zoo.initial_weights import seeded

WIDTH = 4096


def dense_layers(width):
    """The dense layers of VGG-16 (Simonyan and Zisserman 2014), 124 million weights at 4,096."""
    image = keras.Input((7 * 7 * 512,))
    hidden = [layers.Dense(width), layers.Dense(width)]
    return keras.Sequential([image, *hidden, layers.Dense(1000)])


def built(build):
    """Builds a model and waits for its weights, which JAX draws while Python goes on."""
    model = build()
    for weight in model.weights:
        keras.ops.convert_to_numpy(weight[(0,) * len(weight.shape)])
    return model


def main(width=WIDTH, rounds=11, folder=None):
    rows = []
    for name, build in {
        "mnist_cnn": mnist_cnn,
        "VGG-16's dense layers": partial(dense_layers, width),
    }.items():
        sides = {"ours": partial(built, partial(seeded, build, 0)), "theirs": partial(built, build)}
        found = seconds(sides, rounds)
        what = f"build of {name}, with a seed / without, seconds"
        rows.append(ratio(what, found["ours"], found["theirs"]))
    write("initial_weights", rows, folder)
