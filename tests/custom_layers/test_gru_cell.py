import numpy as np
from keras import layers
from scipy.special import expit as sigmoid

from custom_layers import GRUCell
from tests.recurrent import CellContract


def step(x, states, weights, upstreams):
    (h,), (upstream,) = states, upstreams
    kernels = np.split(weights["kernel"], 3, axis=1)
    recurrent_kernels = np.split(weights["recurrent_kernel"], 3, axis=1)
    b_z, b_r, b_n = np.split(weights["bias"][0], 3)
    c_z, c_r, c_n = np.split(weights["bias"][1], 3)
    z = sigmoid(x @ kernels[0] + b_z + h @ recurrent_kernels[0] + c_z)
    r = sigmoid(x @ kernels[1] + b_r + h @ recurrent_kernels[1] + c_r)
    of_state = h @ recurrent_kernels[2] + c_n
    n = np.tanh(x @ kernels[2] + b_n + r * of_state)

    # Of what z, r and n squash; of what the state has in it, too, where n has r times it.
    gradient_n = upstream * (1 - z) * (1 - n**2)
    gradients = [
        upstream * (h - n) * z * (1 - z),
        gradient_n * of_state * r * (1 - r),
        gradient_n,
    ]
    state_gradients = [*gradients[:2], gradient_n * r]
    pairs = zip(state_gradients, recurrent_kernels, strict=True)
    return [z * h + (1 - z) * n], [
        sum(each @ kernel.T for each, kernel in zip(gradients, kernels, strict=True)),
        upstream * z + sum(each @ kernel.T for each, kernel in pairs),
        np.concatenate([x.T @ each for each in gradients], axis=1),
        np.concatenate([h.T @ each for each in state_gradients], axis=1),
        np.stack(
            [
                np.concatenate([each.sum(axis=0) for each in group])
                for group in (gradients, state_gradients)
            ]
        ),
    ]


class TestGRUCell(CellContract):
    cell = GRUCell
    keras_layer = layers.GRU
    step = staticmethod(step)
    fresh_bias = ((0,) * 12, (0,) * 12)
    checksums = (-17.5531376, -26.5041996)
