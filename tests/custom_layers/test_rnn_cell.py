import numpy as np
from keras import layers

from custom_layers import RNNCell
from tests.recurrent import CellContract


def step(x, states, weights, upstreams):
    (h,), (upstream,) = states, upstreams
    new = np.tanh(x @ weights["kernel"] + h @ weights["recurrent_kernel"] + weights["bias"])
    gradient = upstream * (1 - new**2)
    return [new], [
        gradient @ weights["kernel"].T,
        gradient @ weights["recurrent_kernel"].T,
        x.T @ gradient,
        h.T @ gradient,
        gradient.sum(axis=0),
    ]


class TestRNNCell(CellContract):
    cell = RNNCell
    keras_layer = layers.SimpleRNN
    step = staticmethod(step)
    fresh_bias = (0, 0, 0, 0)
    checksums = (24.0436812, 28.119972)
