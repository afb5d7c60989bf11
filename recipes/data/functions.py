"""Points of two functions that approximation is tried on: one of the line, and one of the plane.

curve     sin(8 pi x^2), a chirp: four waves, each shorter than the one before
surface   Franke 1979, "A Critical Comparison of Some Methods for Interpolation of Scattered Data",
          Naval Postgraduate School, NPS-53-79-003: two hills, a slope and a hollow

A split is (x float32 (N, 1), the curve there (N, 1), places (N, 2), the surface there (N, 1)). All
lie between 0 and 1, are drawn evenly and always the same, and the values have no noise.
"""

import numpy as np

NAME = "functions"
EMBEDDED = "points of a chirp and of Franke's function"


def curve(x):
    """(N, 1) -> (N, 1)."""
    return np.sin(8 * np.pi * x**2)


def surface(places):
    """(N, 2) -> (N, 1)."""
    u, v = 9 * places[:, :1], 9 * places[:, 1:]
    return (
        0.75 * np.exp(-((u - 2) ** 2 + (v - 2) ** 2) / 4)
        + 0.75 * np.exp(-((u + 1) ** 2) / 49 - (v + 1) / 10)
        + 0.5 * np.exp(-((u - 7) ** 2 + (v - 3) ** 2) / 4)
        - 0.2 * np.exp(-((u - 4) ** 2) - (v - 7) ** 2)
    )


def embedded():
    """(training, test): 8,000 and 2,000 points of each function."""
    random = np.random.default_rng(0)
    x, places = random.random((10_000, 1)), random.random((10_000, 2))
    arrays = [each.astype("float32") for each in (x, curve(x), places, surface(places))]
    return tuple(each[:8_000] for each in arrays), tuple(each[8_000:] for each in arrays)
