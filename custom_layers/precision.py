"""The precision that the layers of this package compute in."""

import keras
from keras import ops


def float32_or_wider(dtype):
    """ "float32", or "float64" if it is that already."""
    return "float64" if keras.backend.standardize_dtype(dtype) == "float64" else "float32"


def at_least_float32(x):
    """x in float32, or in float64 if it is that already."""
    return ops.cast(x, float32_or_wider(x.dtype))
