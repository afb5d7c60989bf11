"""Convolutional long short-term memory.

Shi, Chen, Wang, Yeung, Wong and Woo 2015, "Convolutional LSTM Network: A Machine Learning Approach
for Precipitation Nowcasting", arXiv:1506.04214, equation 3.
"""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("custom_layers")
class ConvLSTM(layers.Layer):
    """a[t] = x[t] + h[t-1] * U + b         a_i, a_f, a_g and a_o side by side
    i = sigmoid(a_i + v_i c[t-1])        what enters the memory
    f = sigmoid(a_f + v_f c[t-1])        what stays in it
    c[t] = f c[t-1] + i tanh(a_g)
    o = sigmoid(a_o + v_o c[t])          what is seen of it
    h[t] = o tanh(c[t])

    * is a convolution that keeps height and width. x[t] is the input behind its own convolution,
    "input-to-state", which looks at no state: made outside of the layer, it takes all steps at
    once. Zeros stand for no input. Each map has one v of each gate, its peephole.

    b_f starts from 1, as in ``LSTMCell``, and v from 0.

    Args:
        filters: D, number of maps of the state, an integer of 1 or more.
        kernel_size: height and width of U, an integer of 1 or more.

    Call arguments:
        x: (B, T, H, W, 4 D).
        h, c: (B, H, W, D), the states before the first step; by default zeros.

    Shapes: -> h of all steps (B, T, H, W, D), and h and c of the last (B, H, W, D).

    Raises:
        ValueError: an argument is none, or x has another number of maps.
    """

    def __init__(self, filters, kernel_size, **kwargs):
        super().__init__(**kwargs)
        for name, size in {"filters": filters, "kernel_size": kernel_size}.items():
            if not (type(size) is int and size >= 1):
                raise ValueError(f"{name} must be an integer of 1 or more, got {size!r}.")
        self.filters = filters
        self.kernel_size = kernel_size

    def build(self, x_shape, h_shape=None, c_shape=None):
        if len(x_shape) != 5 or x_shape[-1] != 4 * self.filters:
            raise ValueError(
                f"x must be (B, T, H, W, {4 * self.filters}), four maps for each of {self.filters} "
                f"filters, got shape {tuple(x_shape)}: convolve the frames to so many."
            )
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel",
            shape=(self.kernel_size, self.kernel_size, self.filters, 4 * self.filters),
            initializer="orthogonal",
        )
        self.bias = self.add_weight(
            name="bias", shape=(4 * self.filters,), initializer=self.bias_initializer
        )
        self.peepholes = self.add_weight(
            name="peepholes", shape=(3, self.filters), initializer="zeros"
        )

    def bias_initializer(self, shape, dtype=None):
        ones = ops.ones((self.filters,), dtype)
        return ops.concatenate([0 * ones, ones, 0 * ones, 0 * ones])

    def call(self, x, h=None, c=None):
        zeros = ops.zeros_like(x[:, 0, :, :, : self.filters])
        states = (zeros if h is None else h, zeros if c is None else c)
        # As many outputs a step as there are states, which TensorFlow's scan needs. Unrolled, as
        # XLA's convolutions are eight times slower within a loop on a CPU.
        (h, c), (outputs, _) = ops.scan(
            self.step, states, ops.moveaxis(x, 1, 0), unroll=x.shape[1] or 1
        )
        return ops.moveaxis(outputs, 0, 1), h, c

    def step(self, states, x):
        h, c = states
        a = x + ops.conv(h, self.recurrent_kernel, padding="same") + self.bias
        i, f, g, o = ops.split(a, 4, axis=-1)
        of_i, of_f, of_o = ops.split(self.peepholes, 3)
        c = ops.sigmoid(f + of_f * c) * c + ops.sigmoid(i + of_i * c) * ops.tanh(g)
        h = ops.sigmoid(o + of_o * c) * ops.tanh(c)
        return (h, c), (h, c)

    def compute_output_shape(self, x_shape, h_shape=None, c_shape=None):
        batch, time, height, width, _ = x_shape
        state = (batch, height, width, self.filters)
        return (batch, time, *state[1:]), state, state

    def get_config(self):
        sizes = {"filters": self.filters, "kernel_size": self.kernel_size}
        return {**super().get_config(), **sizes}
