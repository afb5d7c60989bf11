"""Gated recurrent unit.

Cho, van Merriënboer, Gulcehre, Bahdanau, Bougares, Schwenk and Bengio 2014, "Learning Phrase
Representations using RNN Encoder-Decoder for Statistical Machine Translation", arXiv:1406.1078,
section 2.3.

Differs from the paper: the reset gate is applied behind the state's matrix and bias, to
h U_n + c_n, as in cuDNN, PyTorch and Keras, whose weights fit.
"""

import keras
from keras import ops

from custom_layers.recurrent_cell import RecurrentCell


@keras.saving.register_keras_serializable("custom_layers")
class GRUCell(RecurrentCell):
    """z = sigmoid(x W_z + b_z + h U_z + c_z)        what stays of the state
    r = sigmoid(x W_r + b_r + h U_r + c_r)        what of it the new one sees
    n = tanh(x W_n + b_n + r * (h U_n + c_n))
    h' = z * h + (1 - z) * n

    Args, shapes and errors: ``RecurrentCell``'s; the state is h. The bias is (b, c), (2, 3 H).
    """

    gates = 3

    def bias_shape(self):
        return (2, self.gates * self.units)

    def call(self, inputs, states):
        (h,) = states
        bias, state_bias = self.bias[0], self.bias[1]
        from_input = ops.matmul(inputs, self.kernel) + bias
        from_state = ops.matmul(h, self.recurrent_kernel) + state_bias
        x_z, x_r, x_n = ops.split(from_input, 3, axis=-1)
        h_z, h_r, h_n = ops.split(from_state, 3, axis=-1)
        z, r = ops.sigmoid(x_z + h_z), ops.sigmoid(x_r + h_r)
        n = ops.tanh(x_n + r * h_n)
        h = z * h + (1 - z) * n
        return h, [h]
