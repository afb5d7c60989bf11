"""A recurrent decoder that attends to a sequence at each step.

Bahdanau, Cho and Bengio 2014, "Neural Machine Translation by Jointly Learning to Align and
Translate", arXiv:1409.0473, sections 3.1 and A.1.2.

Differs from the paper: the unit is ``GRUCell``, whose reset gate is applied behind the matrix.
"""

import keras
from keras import layers, ops

from custom_layers.additive_attention import attend
from custom_layers.gru_cell import GRUCell


@keras.saving.register_keras_serializable("custom_layers")
class AttentiveDecoder(layers.Layer):
    """score[t, s] = tanh(h[t-1] W + k[s]) v
    weights[t] = softmax of the scores over s
    context[t] = sum over s of weights[t, s] value[s]
    h[t] = GRU([x[t], context[t]], h[t-1])

    The keys k are projections of the values, (value U) in the paper: they are the same at every
    step, so they are made outside, once. The softmax is taken in float32 at least.

    Args:
        units: H, width of the state, an integer of 1 or more.

    Call arguments:
        inputs: x, (B, T, D).
        keys: (B, S, A).
        values: (B, S, K).
        initial_state: h[0], (B, H).
        keys_mask: (B, S), False for positions that get no weight; by default the mask that
            ``keys`` carries. Where all are False, all get the same.

    Shapes: -> states h (B, T, H) and contexts (B, T, K), which carry the mask that ``inputs`` does
    and go on where it is False; weights (B, T, S).

    Raises:
        ValueError: ``units`` is none, or inputs, keys or values have no known width.
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.gru = GRUCell(units, dtype=self.dtype_policy, name="gru")
        self.units = units
        # TensorFlow's XLA cannot differentiate ``ops.scan``, whose length it is not told.
        self.supports_jit = keras.backend.backend() != "tensorflow"

    def build(self, inputs_shape, keys_shape, values_shape, initial_state_shape):
        width, key_width, value_width = inputs_shape[-1], keys_shape[-1], values_shape[-1]
        if None in (width, key_width, value_width):
            raise ValueError(
                f"inputs, keys and values need known widths, their last axes, to build the "
                f"weights, got {width}, {key_width} and {value_width}."
            )
        self.query_kernel = self.add_weight(name="query_kernel", shape=(self.units, key_width))
        self.score_kernel = self.add_weight(name="score_kernel", shape=(key_width, 1))
        self.gru.build((inputs_shape[0], width + value_width))

    def call(self, inputs, keys, values, initial_state, keys_mask=None):
        def step(previous, x):
            h = previous[0]
            context, weights = attend(
                h[:, None], keys, values, keys_mask, self.query_kernel, self.score_kernel
            )
            context, weights = context[:, 0], weights[:, 0]
            h, _ = self.gru(ops.concatenate([x, context], axis=-1), [h])
            return (h, context, weights), (h, context, weights)

        # TensorFlow's scan collects what it also hands on, so context and weights go along.
        first = (initial_state, ops.zeros_like(values[:, 0]), ops.zeros_like(keys[:, :, 0]))
        _, outputs = ops.scan(step, first, ops.transpose(inputs, (1, 0, 2)))
        return tuple(ops.transpose(each, (1, 0, 2)) for each in outputs)

    def compute_output_shape(self, inputs_shape, keys_shape, values_shape, initial_state_shape):
        return tuple(
            (*inputs_shape[:2], size) for size in (self.units, values_shape[-1], keys_shape[1])
        )

    def compute_mask(self, inputs, inputs_mask):
        return inputs_mask, inputs_mask, None

    def get_config(self):
        return {**super().get_config(), "units": self.units}
