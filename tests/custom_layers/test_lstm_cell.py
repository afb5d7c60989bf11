import numpy as np
from keras import layers
from scipy.special import expit as sigmoid

from custom_layers import LSTMCell
from tests.recurrent import CellContract


def step(x, states, weights, upstreams):
    (h, c), (upstream_h, upstream_c) = states, upstreams
    kernels = np.split(weights["kernel"], 4, axis=1)
    recurrent_kernels = np.split(weights["recurrent_kernel"], 4, axis=1)
    biases = np.split(weights["bias"], 4)
    i, f, g, o = (
        squash(x @ kernel + h @ recurrent_kernel + bias)
        for squash, kernel, recurrent_kernel, bias in zip(
            (sigmoid, sigmoid, np.tanh, sigmoid), kernels, recurrent_kernels, biases, strict=True
        )
    )
    new_c = f * c + i * g
    new_h = o * np.tanh(new_c)

    # Of new_c, and then of what each gate squashes.
    gradient_c = upstream_c + upstream_h * o * (1 - np.tanh(new_c) ** 2)
    gradients = [
        gradient_c * g * i * (1 - i),
        gradient_c * c * f * (1 - f),
        gradient_c * i * (1 - g**2),
        upstream_h * np.tanh(new_c) * o * (1 - o),
    ]
    return [new_h, new_c], [
        sum(each @ kernel.T for each, kernel in zip(gradients, kernels, strict=True)),
        sum(each @ kernel.T for each, kernel in zip(gradients, recurrent_kernels, strict=True)),
        gradient_c * f,
        np.concatenate([x.T @ each for each in gradients], axis=1),
        np.concatenate([h.T @ each for each in gradients], axis=1),
        np.concatenate([each.sum(axis=0) for each in gradients]),
    ]


class TestLSTMCell(CellContract):
    cell = LSTMCell
    keras_layer = layers.LSTM
    step = staticmethod(step)
    fresh_bias = (0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0)
    checksums = (-13.0696651, 10.9212044)
