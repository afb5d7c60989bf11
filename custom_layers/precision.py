"""The precision that the layers of this package compute in."""

import keras
from keras import ops


def at_least_float32(x):
    """x in float32, or in float64 if it is that already."""
    dtype = keras.backend.standardize_dtype(x.dtype)
    return ops.cast(x, dtype if dtype == "float64" else "float32")
