"""The perceptron: units that fire or not, and the rule by which they learn.

Rosenblatt 1958, "The Perceptron: A Probabilistic Model for Information Storage and Organization in
the Brain", Psychological Review 65; error correction as in Rosenblatt 1962, "Principles of
Neurodynamics", chapter 5.

    example (D,)
    output         x w + b                -> a logit for each unit
    step           1 above 0, 0 elsewhere -> which units fire

An example whose logit is on the wrong side of 0 moves the weights towards its own side, and others
move nothing. A logit of 0 itself is on neither side, and so wrong:

    w' = w + s x    b' = b + s    where s is 1 for a unit that should fire, and else -1

That is gradient descent on ``perceptron_loss``, one example a step, at a learning rate of 1. It
ends if a plane parts the two classes: after at most (R / margin)^2 mistakes from zeros, where
R is the length of the longest example (Novikoff 1962, "On Convergence Proofs for Perceptrons"). No
plane parts the classes of XOR.

Differs from the paper: its units see association units, which a retina drives through fixed random
connections; here they see the features themselves.
"""

import keras
from keras import layers, ops

from zoo.input_shape import check_table_shape


def perceptron(num_classes=1, input_shape=(2,)):
    """Perceptron: examples (B, D) -> logits (B, num_classes), above 0 where a unit fires.

    Args:
        num_classes: number of units, each of which learns by itself; 1 parts two classes. None
            leaves them out, and gives the examples.
        input_shape: (D,).

    Raises:
        ValueError: ``input_shape`` is not (D,).
    """
    check_table_shape("perceptron", input_shape)
    example = x = keras.Input(input_shape, name="example")
    if num_classes is not None:
        x = layers.Dense(num_classes, name="output")(x)
    return keras.Model(example, x, name="perceptron")


def step(logits):
    """Any shape -> the same: 1 where a unit fires, else 0."""
    return ops.cast(logits > 0, "float32")


def perceptron_loss(targets, logits):
    """(B, N) twice -> scalar: the sum of how far the units that are wrong are from 0.

    Args:
        targets: 1 where a unit should fire, else 0.
        logits: what the model gave.
    """
    signs = 2 * ops.cast(targets, logits.dtype) - 1  # 0, 1 -> -1, 1
    # Not ops.relu, whose derivative at 0 is 0: from weights of zero nothing would ever move.
    return ops.sum(ops.where(signs * logits <= 0, -signs * logits, 0))
