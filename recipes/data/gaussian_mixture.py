"""Numbers drawn from a mixture of two Gaussians, the smallest data with two modes.

A split is one array of float32 (N, 1). The data is made here, always the same: half of it
around -2, half around +2, with standard deviation 0.3.
"""

import numpy as np

NAME = "gaussian_mixture"
EMBEDDED = "numbers drawn from a mixture of two Gaussians"
MODES = (-2.0, 2.0)
STANDARD_DEVIATION = 0.3


def embedded():
    """(training, test): 8,000 and 2,000 numbers."""
    generator = np.random.default_rng(0)
    centers = generator.choice(MODES, size=10_000)
    values = generator.normal(centers, STANDARD_DEVIATION).astype("float32")[:, None]
    return (values[:8_000],), (values[8_000:],)
