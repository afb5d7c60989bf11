"""What the recurrent cells share: their weights."""

from keras import layers, ops


class RecurrentCell(layers.Layer):
    """One time step, ``cell(x, states) -> (h', states')``; ``keras.layers.RNN(cell)`` takes many.

    Gates lie side by side in each weight, in the order of Keras's own layers, whose weights fit.
    Weights start as there: Glorot and Bengio 2010 for what comes from the input, orthogonal (Saxe
    et al. 2013, arXiv:1312.6120) for what comes from the state, and zeros.

    Args:
        units: H, width of the state, an integer of 1 or more.

    Shapes: x (B, D), each state (B, H) -> h' (B, H), states of the same shapes.

    Raises:
        ValueError: ``units`` is none, or the input has no known width.
    """

    gates = 1

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        if not (type(units) is int and units >= 1):
            raise ValueError(f"units must be an integer of 1 or more, got {units!r}.")
        self.units = self.state_size = self.output_size = units

    def build(self, input_shape):
        if input_shape[-1] is None:
            raise ValueError(
                f"the input needs a known width, its last axis, to build the weights, got shape "
                f"{tuple(input_shape)}."
            )
        width = self.gates * self.units
        self.kernel = self.add_weight(
            name="kernel", shape=(input_shape[-1], width), initializer="glorot_uniform"
        )
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel", shape=(self.units, width), initializer="orthogonal"
        )
        self.bias = self.add_weight(
            name="bias", shape=self.bias_shape(), initializer=self.bias_initializer
        )

    def bias_shape(self):
        return (self.gates * self.units,)

    def bias_initializer(self, shape, dtype=None):
        return ops.zeros(shape, dtype)

    def get_config(self):
        return {**super().get_config(), "units": self.units}
