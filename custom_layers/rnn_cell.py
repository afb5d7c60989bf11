"""The plain recurrent cell.

Elman 1990, "Finding Structure in Time", Cognitive Science 14, with tanh.
"""

import keras
from keras import ops

from custom_layers.recurrent_cell import RecurrentCell


@keras.saving.register_keras_serializable("custom_layers")
class RNNCell(RecurrentCell):
    """h' = tanh(x W + h U + b)

    Args, shapes and errors: ``RecurrentCell``'s; the state is h.
    """

    def call(self, inputs, states):
        (h,) = states
        h = ops.tanh(
            ops.matmul(inputs, self.kernel) + ops.matmul(h, self.recurrent_kernel) + self.bias
        )
        return h, [h]
