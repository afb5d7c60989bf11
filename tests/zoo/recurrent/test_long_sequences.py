"""What an output 500 steps later still tells of a step: why there are gates.

The gradient of the last state by the inputs of every step, of networks with their initial weights.
"""

import keras
import numpy as np
import pytest
from keras import ops
from scipy.special import expit as sigmoid

import zoo
from recipes.training.kept_gradients import KeptGradients

TIME, FEATURES, WIDTH = 500, 3, 8
SMALLEST = np.finfo("float32").tiny


def inputs_and_upstream():
    generator = np.random.default_rng(0)
    x, upstream = generator.normal(size=(1, TIME, FEATURES)), generator.normal(size=(1, WIDTH))
    return x.astype("float32"), upstream.astype("float32")


class OfInputs(keras.Model):
    """A model whose weights are the inputs of another.

    Keras's own training step takes it: the one of recipes.training records every operation on
    PyTorch, of which there are ten thousand here.
    """

    def __init__(self, model, inputs):
        super().__init__()
        self.model = model
        model.trainable = False
        self.inputs_weight = self.add_weight(name="inputs", shape=inputs.shape)
        self.inputs_weight.assign(inputs)

    def call(self, _):
        return self.model(ops.convert_to_tensor(self.inputs_weight), training=True)


def gradients_by_step(kind, change=None):
    """(gradient of the last state by the inputs (T, F), weights in float64)."""
    model = zoo.build(
        f"{kind}_classifier", num_classes=None, num_features=FEATURES, width=WIDTH, seed=0
    )
    if change:
        model.set_weights(change(*model.get_weights()))
    x, upstream = inputs_and_upstream()
    of_inputs, recorder = OfInputs(model, x), KeptGradients()
    of_inputs.compile(recorder, lambda upstream, state: ops.sum(upstream * state, axis=-1))
    of_inputs.train_on_batch(np.zeros((1, 1)), upstream)
    (gradients,) = (ops.convert_to_numpy(each)[0] for each in recorder.gradients)
    return gradients, [each.astype("float64") for each in model.get_weights()]


def norms(gradients):
    return np.linalg.norm(gradients, axis=-1)


def rnn_in_closed_form(kernel, recurrent_kernel, bias):
    """dh[T]/dx[t] = W diag(1 - h[t]²) U diag(1 - h[t+1]²) ... U diag(1 - h[T]²)."""
    (x,), (upstream,) = inputs_and_upstream()
    h, states = np.zeros(WIDTH), []
    for each in x:
        h = np.tanh(each @ kernel + h @ recurrent_kernel + bias)
        states.append(h)
    expected = []
    for h in reversed(states):
        before = upstream * (1 - h**2)
        expected.append(kernel @ before)
        upstream = recurrent_kernel @ before
    return np.array(expected[::-1])


def lstm_in_closed_form(kernel, bias):
    """Gates that see the inputs alone: dc[T]/dc[t] is the product of the forget gates between."""
    (x,), (upstream,) = inputs_and_upstream()
    i, f, g, o = np.split(x @ kernel + bias, 4, axis=1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    c, before = np.zeros(WIDTH), []
    for step in range(TIME):
        before.append(c)
        c = f[step] * c + i[step] * g[step]
    # What of the memory after each step is left in the last.
    kept = np.cumprod(np.concatenate([np.ones((1, WIDTH)), f[:0:-1]]), axis=0)[::-1]
    of_memory = kept * upstream * o[-1] * (1 - np.tanh(c) ** 2)
    of_gates = [of_memory * g * i * (1 - i), of_memory * before * f * (1 - f)]
    of_gates += [of_memory * i * (1 - g**2), np.zeros((TIME, WIDTH))]
    of_gates[3][-1] = upstream * np.tanh(c) * o[-1] * (1 - o[-1])
    return np.concatenate(of_gates, axis=1) @ kernel.T


def test_through_a_plain_network_nothing_arrives():
    found, weights = gradients_by_step("rnn")
    expected = rnn_in_closed_form(*weights)
    # As far as float32 has such numbers.
    there = norms(expected) > 1e3 * SMALLEST
    assert 20 < there.sum() < 300
    np.testing.assert_array_equal(there, np.arange(TIME) >= TIME - there.sum())
    error = norms(found - expected)[there] / norms(expected)[there]
    assert error.max() < 1e-3
    assert norms(found)[-1] > 0.1
    assert norms(found)[: TIME // 2].max() < SMALLEST
    # A factor a step: as far from the end, as many orders of magnitude.
    assert norms(expected)[0] < 1e-70


def test_along_the_memory_of_an_lstm_it_is_the_product_of_the_forget_gates():
    def open_gates(kernel, recurrent_kernel, bias):
        bias[WIDTH : 2 * WIDTH] = 8
        return kernel, 0 * recurrent_kernel, bias

    found, (kernel, _, bias) = gradients_by_step("lstm", open_gates)
    expected = lstm_in_closed_form(kernel, bias)
    error = norms(found - expected) / norms(expected)
    assert error.max() < 1e-4
    assert norms(found)[:50].mean() > 0.1 * norms(found)[-50:].mean()


# Of the gate that keeps the state, which comes second in an LSTM and first in a GRU.
KEPT = {"lstm": slice(WIDTH, 2 * WIDTH), "gru": (0, slice(WIDTH))}


@pytest.mark.parametrize(
    ("kind", "gate_bias", "arrives"),
    [("lstm", 1, False), ("lstm", 8, True), ("gru", 0, False), ("gru", 8, True)],
)
def test_what_arrives_is_what_the_gates_let_through(kind, gate_bias, arrives):
    """With the state in the gates. 500 steps are too many for the biases of a new network."""

    def with_bias(kernel, recurrent_kernel, bias):
        if not arrives:
            assert np.all(bias[KEPT[kind]] == gate_bias)
        bias[KEPT[kind]] = gate_bias
        return kernel, recurrent_kernel, bias

    found, _ = gradients_by_step(kind, with_bias)
    share = norms(found)[:50].mean() / norms(found)[-50:].mean()
    assert (1e-2 < share < 10) if arrives else (share < 1e-20)
