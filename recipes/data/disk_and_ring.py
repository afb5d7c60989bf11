"""Points of the plane around a center, and points around a circle: no line parts them.

A split is (points float32 (N, 2), labels int32 (N,)): 0 has its center at the origin, and 1 on the
circle with radius 2; both have Gaussian noise of 0.6 in each direction, and overlap. The data is
made here, always the same.
"""

import numpy as np

NAME = "disk_and_ring"
EMBEDDED = "points around a center and around a circle, made here"
RADIUS, NOISE = 2.0, 0.6
_COUNT = 1000


def embedded():
    """(training, validation, test): 1,000 points each, half of them of each class."""
    random = np.random.default_rng(0)
    return tuple(_drawn(random) for _ in range(3))


def _drawn(random):
    labels = random.permutation(np.arange(_COUNT) % 2)
    angles = random.uniform(0, 2 * np.pi, _COUNT)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points = RADIUS * labels[:, None] * circle + random.normal(0, NOISE, circle.shape)
    return points.astype("float32"), labels.astype("int32")
