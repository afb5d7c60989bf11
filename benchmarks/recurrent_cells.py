"""The from-scratch recurrent cells against Keras's own layers, a whole training step.

Each side is one recurrent layer and a dense one over its last state, trained by the step that the
recipes use: compiled on JAX, a graph on TensorFlow, recorded and replayed on PyTorch.
"""

import math

import keras
import numpy as np
from keras import layers, ops

import custom_layers
from benchmarks.side_by_side import ratio, seconds, write
from recipes.training.gradient_step import gradient_step

SHAPE = (32, 50, 64)  # (B, T, D)
UNITS = 128
PAIRS = {
    "RNNCell": (custom_layers.RNNCell, layers.SimpleRNN),
    "LSTMCell": (custom_layers.LSTMCell, layers.LSTM),
    "GRUCell": (custom_layers.GRUCell, layers.GRU),
}
PROOF_STEPS = 3


def trainer(layer, weights, inputs, targets):
    """(function without arguments that takes a step and returns the loss, the weights).

    Args:
        layer: a recurrent layer without weights yet.
        weights: list of arrays that the network starts from; None keeps those that it draws.
        inputs, targets: NumPy arrays, (B, T, D) and (B, 1).
    """
    model = keras.Sequential([keras.Input((None, inputs.shape[-1])), layer, layers.Dense(1)])
    if weights is not None:
        model.set_weights(weights)

    def compute_loss(inputs, targets):
        return ops.mean(ops.square(model(inputs, training=True) - targets))

    step = gradient_step(compute_loss, model, keras.optimizers.SGD(0.01))
    return lambda: float(ops.convert_to_numpy(step(inputs, targets))), model.get_weights()


def measure(name, shape, units, round_seconds, rounds):
    """The row of one cell.

    Raises:
        ValueError: the two sides do not train alike.
    """
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=shape).astype("float32")
    targets = generator.normal(size=(shape[0], 1)).astype("float32")
    cell, layer = PAIRS[name]
    theirs, weights = trainer(layer(units), None, inputs, targets)
    ours, _ = trainer(layers.RNN(cell(units)), weights, inputs, targets)
    losses = np.array([(ours(), theirs()) for _ in range(PROOF_STEPS)])
    if not np.allclose(losses[:, 0], losses[:, 1], rtol=1e-4):
        raise ValueError(f"{name} does not train as Keras's own layer does: {losses.tolist()}.")

    once = seconds({"ours": ours, "theirs": theirs}, rounds=1)
    repetitions = max(1, math.ceil(round_seconds / max(once["ours"] + once["theirs"])))

    def repeated(call):
        return lambda: [call() for _ in range(repetitions)]

    found = seconds({"ours": repeated(ours), "theirs": repeated(theirs)}, rounds)
    found = {side: [each / repetitions for each in times] for side, times in found.items()}
    return ratio(f"step of {name}, ours / Keras built-in, seconds", found["ours"], found["theirs"])


def main(shape=SHAPE, units=UNITS, round_seconds=0.3, rounds=15, folder=None):
    rows = [measure(name, shape, units, round_seconds, rounds) for name in PAIRS]
    write("recurrent_cells", rows, folder)
