"""The residual multilayer perceptron for tables.

Gorishniy, Rubachev, Khrulkov and Babenko 2021, "Revisiting Deep Learning Models for Tabular Data",
arXiv:2106.11959, section 3.2, where it is called ResNet; in the size of the example that the
authors' package rtdl_revisiting_models gives, from which the constants are, too.

    example (D,)
    input     dense                                                      -> 192
    block1    x + [norm, dense 384, ReLU, dropout, dense 192, dropout]   -> 192
    block2    the same                                                   -> 192
    output    norm, ReLU, dense                                          -> logits

From input to output x changes by what the blocks add alone: the paper's "almost clear path".
Differs from the paper: the features are numbers, where the paper embeds those that are categories.
"""

import keras
from keras import initializers, layers

from custom_layers import BatchNormalization, Dropout
from zoo.input_shape import check_table_shape
from zoo.sizes import check_sizes


def normalize(x, name):
    """(B, D) -> the same: batch normalization, with the constants of PyTorch."""
    return BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)


def dense(x, width, name):
    """(B, D) -> (B, width): weights and biases start as PyTorch's, within 1 / sqrt(D)."""
    limit = x.shape[-1] ** -0.5
    # Two of them: one would draw the same numbers for both.
    kernel, bias = (initializers.RandomUniform(-limit, limit) for _ in range(2))
    return layers.Dense(width, kernel_initializer=kernel, bias_initializer=bias, name=name)(x)


def relu(x, name):
    """Any shape -> the same."""
    return layers.Activation("relu", name=name)(x)


def block(x, hidden_width, hidden_dropout_rate, dropout_rate, name):
    """(B, D) -> the same."""
    y = dense(normalize(x, name=f"{name}_norm"), hidden_width, name=f"{name}_dense1")
    y = relu(y, name=f"{name}_activation")
    y = Dropout(hidden_dropout_rate, name=f"{name}_dropout1")(y)
    y = dense(y, x.shape[-1], name=f"{name}_dense2")
    y = Dropout(dropout_rate, name=f"{name}_dropout2")(y)
    return layers.Add(name=name)([x, y])


def residual_mlp(
    num_classes=1, input_shape=(8,), depth=2, width=192, hidden_width=384, hidden_dropout_rate=0.15,
    dropout_rate=0.0,
):  # fmt: skip
    """Residual MLP: examples (B, D) -> logits (B, num_classes).

    Args:
        num_classes: number of logits; 1 for a regression. None leaves the output layer out, and
            gives (B, width).
        input_shape: (D,).
        depth: number of blocks.
        width: units between the blocks.
        hidden_width: units within them.
        hidden_dropout_rate: share of the units within that is dropped in training.
        dropout_rate: share of what a block adds that is dropped in training.

    Raises:
        ValueError: ``input_shape`` is not (D,); ``depth``, ``width`` or ``hidden_width`` is not
            above 0; or a rate is not in [0, 1].
    """
    check_table_shape("residual_mlp", input_shape)
    sizes = depth, width, hidden_width
    check_sizes("residual_mlp", "(depth, width, hidden_width)", sizes)
    example = keras.Input(input_shape, name="example")
    x = dense(example, width, name="input")
    for index in range(1, depth + 1):
        x = block(x, hidden_width, hidden_dropout_rate, dropout_rate, name=f"block{index}")
    x = relu(normalize(x, name="norm"), name="activation")
    if num_classes is not None:
        x = dense(x, num_classes, name="output")
    return keras.Model(example, x, name="residual_mlp")
