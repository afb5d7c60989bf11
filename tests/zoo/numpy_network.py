"""Reference operations of image models in NumPy float64, written from their equations.

Images are (B, H, W, C), convolution kernels (height, width, inputs, outputs).
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import special


def convolution(images, kernel, bias=0.0, padding=0):
    """Stride 1, with ``padding`` zeros on each side."""
    images = np.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    windows = sliding_window_view(images, kernel.shape[:2], axis=(1, 2))  # (B, H, W, C, i, j)
    return np.einsum("bhwcij,ijco->bhwo", windows, kernel, optimize=True) + bias


def pool_windows(images):
    """Windows of 2x2 that do not overlap; an odd last row or column is left out."""
    windows = sliding_window_view(images, (2, 2), axis=(1, 2))
    return windows[:, ::2, ::2]  # (B, H/2, W/2, C, 2, 2)


def average_pool(images):
    return pool_windows(images).mean(axis=(-2, -1))


def max_pool(images):
    return pool_windows(images).max(axis=(-2, -1))


def normalize(x, mean, variance, gamma, beta, epsilon):
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta


def leaky_relu(x, negative_slope):
    return np.maximum(x, 0) + negative_slope * np.minimum(x, 0)


def gelu(x):
    return x * special.ndtr(x)


def flatten(x):
    return x.reshape(len(x), -1)


def randomize(model, seed=0):
    """Gives every variable values that are neither zero nor one nor all of one sign.

    So a bias or a factor that a model forgets changes its outputs. Kernels are scaled by their
    fan-in: outputs stay about 1 in size, and no saturation hides an error.
    """
    generator = np.random.default_rng(seed)
    for layer in model.layers:
        for variable in layer.weights:
            shape = tuple(variable.shape)
            if variable.name == "moving_variance":
                values = generator.uniform(0.5, 2.0, shape)
            elif variable.name == "gamma" or shape[:2] == (1, 1):  # one factor a map
                values = generator.uniform(0.5, 1.5, shape) * generator.choice([-1, 1], shape)
            elif len(shape) > 1:
                values = generator.normal(0, 1 / np.sqrt(np.prod(shape[:-1])), shape)
            else:
                values = generator.normal(0, 0.5, shape)
            variable.assign(values.astype("float32"))


def float64_weights(model):
    """{layer name: the layer's weights in float64, in the layer's order}."""
    return {
        layer.name: [weight.astype("float64") for weight in layer.get_weights()]
        for layer in model.layers
    }


def assert_agree(actual, expected):
    """Within 1e-5 of the largest expected value: float32 rounding, and nothing else."""
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
