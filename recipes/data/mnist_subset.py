"""The MNIST digits that need no download, for studies whose thresholds are of so many.

A split is (images uint8 (N, 28, 28, 1), labels int32 (N,)), as in ``recipes.data.mnist``.
"""

from recipes.data import mnist

NAME = mnist.NAME
EMBEDDED = mnist.EMBEDDED
embedded = mnist.embedded
