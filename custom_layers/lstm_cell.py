"""Long short-term memory.

Hochreiter and Schmidhuber 1997, "Long Short-Term Memory", Neural Computation 9, with the forget
gate of Gers, Schmidhuber and Cummins 2000, "Learning to Forget".
"""

import keras
from keras import ops

from custom_layers.recurrent_cell import RecurrentCell


@keras.saving.register_keras_serializable("custom_layers")
class LSTMCell(RecurrentCell):
    """i = sigmoid(x W_i + h U_i + b_i)        what enters the memory
    f = sigmoid(x W_f + h U_f + b_f)        what stays in it
    g = tanh(x W_g + h U_g + b_g)
    o = sigmoid(x W_o + h U_o + b_o)        what is seen of it
    c' = f * c + i * g
    h' = o * tanh(c')

    b_f starts from 1, so that a new network remembers (Jozefowicz, Zaremba and Sutskever 2015).

    Args, shapes and errors: ``RecurrentCell``'s; the states are h and c.
    """

    gates = 4

    def __init__(self, units, **kwargs):
        super().__init__(units, **kwargs)
        self.state_size = [units, units]

    def bias_initializer(self, shape, dtype=None):
        ones = ops.ones((self.units,), dtype)
        return ops.concatenate([0 * ones, ones, 0 * ones, 0 * ones])

    def call(self, inputs, states):
        h, c = states
        gates = ops.matmul(inputs, self.kernel) + ops.matmul(h, self.recurrent_kernel) + self.bias
        i, f, g, o = ops.split(gates, 4, axis=-1)
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
        h = ops.sigmoid(o) * ops.tanh(c)
        return h, [h, c]
