"""Pictures of ten shapes: those that stand in for CIFAR-10's where it is not at hand.

A split is (images uint8 (N, 32, 32, 3), labels int32 (N,)).
"""

from recipes.data import cifar10

NAME = "shapes"
CLASSES = cifar10.EMBEDDED_CLASSES
EMBEDDED = "pictures of ten shapes of any size, place and colour, drawn here"
embedded = cifar10.embedded
from_picture = cifar10.from_picture
