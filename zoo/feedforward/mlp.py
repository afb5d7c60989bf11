"""The multilayer perceptron.

Rumelhart, Hinton and Williams 1986, "Learning Representations by Back-propagating Errors", Nature
323; in the size, and with the dropout, of Srivastava et al. 2014, "Dropout: A Simple Way to Prevent
Neural Networks from Overfitting", JMLR 15, section 6.1.1 and table 2 (3 layers of 1,024 ReLU).

    example (D,), or an image, laid out as one row  -> 784, of which dropout takes 0.2
    hidden1    dense, ReLU, dropout 0.5             -> 1,024
    hidden2    the same                             -> 1,024
    hidden3    the same                             -> 1,024
    output                                          -> 10 logits

With batch normalization (Ioffe and Szegedy 2015, arXiv:1502.03167, section 3.2) a hidden layer is
dense without bias, which beta replaces, normalization, ReLU, dropout.
Differs from the papers: of 1986 had logistic units; these are rectified (Nair and Hinton 2010), and
start from He et al. 2015's weights. Dropout scales up in training what it keeps, where the paper
scales the weights down in inference. The paper's limit on the norm of a unit's weights is not here.
"""

import keras
from keras import layers

from custom_layers import BatchNormalization, Dropout
from zoo.input_shape import check_table_shape
from zoo.sizes import check_sizes


def hidden_layer(x, width, batch_norm, dropout_rate, name):
    """(B, D) -> (B, width)."""
    x = layers.Dense(
        width, use_bias=not batch_norm, kernel_initializer="he_normal", name=f"{name}_dense"
    )(x)
    if batch_norm:
        x = BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_norm")(x)
    x = layers.Activation("relu", name=f"{name}_activation")(x)
    return Dropout(dropout_rate, name=f"{name}_dropout")(x)


def mlp(
    num_classes=10, input_shape=(784,), widths=(1024, 1024, 1024), batch_norm=False,
    dropout_rate=0.5, input_dropout_rate=0.2,
):  # fmt: skip
    """MLP: examples (B, D), or images (B, H, W, C) -> logits (B, num_classes).

    Args:
        num_classes: number of logits; 1 for a regression. None leaves the output layer out, and
            gives (B, widths[-1]).
        input_shape: (D,), or (H, W, C).
        widths: units of each hidden layer.
        batch_norm: whether each hidden layer has batch normalization.
        dropout_rate: share of each hidden layer's outputs that is dropped in training.
        input_dropout_rate: the same of the inputs.

    Raises:
        ValueError: ``input_shape`` is neither (D,) nor (H, W, C), there are no ``widths``, or one
            is not above 0; or a rate is not in [0, 1].
    """
    check_table_shape("mlp", input_shape, images=True)
    check_sizes("mlp", "one or more widths", widths)
    example = x = keras.Input(input_shape, name="example")
    if len(input_shape) > 1:
        x = layers.Flatten(name="flatten")(x)  # (B, D)
    x = Dropout(input_dropout_rate, name="input_dropout")(x)
    for index, width in enumerate(widths, start=1):
        x = hidden_layer(x, width, batch_norm, dropout_rate, name=f"hidden{index}")
    if num_classes is not None:
        x = layers.Dense(num_classes, name="output")(x)
    return keras.Model(example, x, name="mlp")
