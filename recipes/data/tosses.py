"""Tosses of a coin and throws of a die, neither of them fair: draws whose chances are known.

A split is (ones float32 (N, 1), coin float32 (N, 1), die int32 (N,)): nothing to tell the draws
apart by, 1 for heads and else 0, and the number thrown less 1.
"""

import numpy as np

NAME = "tosses"
EMBEDDED = "tosses of a coin and throws of a die that are not fair"
HEADS = 0.7
CHANCES = (0.05, 0.1, 0.1, 0.15, 0.2, 0.4)


def embedded():
    """(training, validation, test): 1,000 draws each."""
    generator = np.random.default_rng(0)
    parts = []
    for _ in range(3):
        coin = (generator.random((1000, 1)) < HEADS).astype("float32")
        die = generator.choice(len(CHANCES), 1000, p=CHANCES).astype("int32")
        parts.append((np.ones((1000, 1), "float32"), coin, die))
    return tuple(parts)
