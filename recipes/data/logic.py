"""The truth tables of AND, OR and XOR: four examples, the smallest data that a plane cannot part.

A split is (inputs float32 (4, 2), of 0 and 1, and the labels of AND, of OR and of XOR, each float32
(4, 1)). There is nothing else to know, so that training, validation and test part are the same.
"""

import numpy as np

NAME = "logic"
EMBEDDED = "the truth tables of AND, OR and XOR"


def embedded():
    """(training, validation, test): the four examples each."""
    inputs = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
    first, second = inputs.astype(bool).T
    labels = (first & second, first | second, first ^ second)
    table = (inputs, *(each.astype("float32")[:, None] for each in labels))
    return table, table, table
