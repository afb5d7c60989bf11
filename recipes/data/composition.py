"""Points of a composed function: T(T(xy)), where T(z) = 2 z^2 - 1, on the square from -1 to 1.

T is the second of Chebyshev's polynomials: T(cos a) = cos 2a, so that each T doubles the number of
waves, as each tent does in Telgarsky 2016, "Benefits of Depth in Neural Networks",
arXiv:1602.04485. A split is (points float32 (N, 2), values float32 (N, 1)), drawn evenly and always
the same, without noise.
"""

import numpy as np

NAME = "composition"
EMBEDDED = "points of a polynomial that is composed of others"


def composition(points):
    """(N, 2) -> (N, 1)."""
    values = points[:, :1] * points[:, 1:]
    for _ in range(2):
        values = 2 * values**2 - 1
    return values


def embedded():
    """(training, test): 10,000 and 5,000 points."""
    points = np.random.default_rng(0).uniform(-1, 1, (15_000, 2))
    arrays = points.astype("float32"), composition(points).astype("float32")
    return tuple(each[:10_000] for each in arrays), tuple(each[10_000:] for each in arrays)
