"""What the layers of recurrent networks promise: the cells, and the attention between networks.

The test of each layer derives its contract from the classes here, which pytest does not collect.
"""

import keras
import numpy as np
import pytest
from keras import layers, ops, tree

import zoo.initial_weights
from recipes.training.gradient_step import gradient_step
from recipes.training.kept_gradients import KeptGradients

# No two the same, and more examples than steps.
BATCH, TIME, WIDTH, UNITS = 5, 4, 3, 6
HALF_UNITS = {"mixed_float16": 2.0**-11, "mixed_bfloat16": 2.0**-8}  # relative


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype("float32")


def randomize(layer):
    """Gives a layer weights of which none is zero, and no two are the same."""
    for position, variable in enumerate(layer.weights):
        variable.assign(0.5 * normal(*variable.shape, seed=10 + position))
    return layer


def weights_of(layer):
    """By name, in float64."""
    return {
        variable.name: ops.convert_to_numpy(variable).astype("float64")
        for variable in layer.weights
    }


def outputs_and_gradients(layer, inputs, upstreams, call=None):
    """Calls a layer in one compiled training step, under the sum of all upstreams times outputs.

    Args:
        layer: the layer, built.
        inputs: list of float32 arrays.
        upstreams: list of arrays, one for each output, the gradients that arrive from above.
        call: function of the inputs that calls the layer and returns a nest of its outputs;
            by default ``layer(*inputs)``.

    Returns:
        (outputs, gradients): lists of NumPy arrays; the gradients of all inputs, then of all
        trainable weights.
    """
    call = call or layer
    model = keras.Model()
    model.layer = layer
    given = [
        model.add_weight(name=f"input_{position}", shape=array.shape, autocast=False)
        for position, array in enumerate(inputs)
    ]
    model.built = True
    for variable, array in zip(given, inputs, strict=True):
        variable.assign(array)

    def compute_loss(*upstreams):
        outputs = tree.flatten(call(*map(ops.convert_to_tensor, given)))
        loss = 0.0
        for output, upstream in zip(outputs, upstreams, strict=True):
            loss += ops.sum(upstream * ops.cast(output, "float32"))
        return loss, outputs

    recorder = KeptGradients()
    step = gradient_step(compute_loss, model, recorder)
    _, outputs = step(*(np.asarray(each, "float32") for each in upstreams))
    gradients = {
        id(variable): ops.convert_to_numpy(gradient)
        for variable, gradient in zip(model.trainable_variables, recorder.gradients, strict=True)
    }
    outputs = [ops.convert_to_numpy(each) for each in outputs]
    return outputs, [gradients[id(each)] for each in (*given, *layer.trainable_weights)]


def assert_close(actual, expected, tolerance=1e-6):
    """Each array within ``tolerance`` of its largest number."""
    for position, (ours, theirs) in enumerate(zip(actual, expected, strict=True)):
        assert ours.shape == theirs.shape, f"{position}: {ours.shape}, {theirs.shape}"
        error = np.abs(ours - theirs).max() / np.abs(theirs).max()
        assert error <= tolerance, f"{position}: {error:.2g}"


class CellContract:
    """
    Attributes:
        cell: class of the cell.
        keras_layer: class of Keras's own layer.
        step: function of x, states, weights and upstream gradients of the new states that
            returns, in float64, the new states and the gradients of x, states and weights.
        fresh_bias: of 4 units.
        checksums: of both seeded kernels: the sum of its values, each times its place.
    """

    def new_states(self, seed=0):
        count = len(np.atleast_1d(self.cell(1).state_size))
        return [normal(BATCH, UNITS, seed=20 + seed + position) for position in range(count)]

    def build(self, layer, shape=(None, None, WIDTH)):
        layer.build(shape)
        return randomize(layer)

    def test_one_step(self):
        cell = self.build(self.cell(UNITS), (None, WIDTH))
        x, states = normal(BATCH, WIDTH), self.new_states()
        upstreams = [normal(BATCH, UNITS, seed=30 + position) for position in range(3)]
        upstreams = upstreams[: 1 + len(states)]  # of the output, and of each new state

        def call(x, *states):
            output, new_states = cell(x, list(states))
            assert len(new_states) == len(states)
            return [output, *new_states]

        outputs, gradients = outputs_and_gradients(cell, [x, *states], upstreams, call)
        # The output is the first state.
        state_upstreams = [upstreams[0].astype("float64") + upstreams[1], *upstreams[2:]]
        new_states, expected = self.step(x, states, weights_of(cell), state_upstreams)
        assert_close(outputs, [new_states[0], *new_states])
        assert_close(gradients, expected)

    @pytest.mark.parametrize("way", ["forwards", "backwards", "both"])
    def test_a_sequence_equals_the_keras_layer(self, way):
        options = {"return_sequences": True, "return_state": True}
        options["go_backwards"] = way == "backwards"
        ours = layers.RNN(self.cell(UNITS), **options)
        theirs = self.keras_layer(UNITS, **options)
        states, width = self.new_states(), UNITS
        if way == "both":
            ours, theirs = layers.Bidirectional(ours), layers.Bidirectional(theirs)
            states, width = states + self.new_states(seed=5), 2 * UNITS
        self.build(ours)
        theirs.build((None, None, WIDTH))
        theirs.set_weights(ours.get_weights())
        inputs = [normal(BATCH, TIME, WIDTH), *states]
        upstreams = [normal(BATCH, TIME, width)]
        upstreams += [normal(BATCH, UNITS, seed=position) for position in range(len(states))]
        results = [
            outputs_and_gradients(
                layer, inputs, upstreams,
                call=lambda x, *states, layer=layer: layer(x, initial_state=list(states)),
            )
            for layer in (ours, theirs)
        ]  # fmt: skip
        for actual, expected in zip(*results, strict=True):
            assert_close(actual, expected)

    @pytest.mark.parametrize("way", ["forwards", "both"])
    def test_a_padded_batch_gives_what_its_rows_give_alone(self, way):
        layer = layers.RNN(self.cell(UNITS), return_sequences=True, return_state=True)
        layer = layers.Bidirectional(layer) if way == "both" else layer
        layer = self.build(layer)
        lengths = [TIME, 1, 3]
        mask = np.arange(TIME) < np.array(lengths)[:, None]
        x = np.where(mask[:, :, None], normal(3, TIME, WIDTH), 100).astype("float32")
        shapes = [output.shape for output in layer(x)]
        upstreams = [normal(*shape, seed=position) for position, shape in enumerate(shapes)]
        upstreams[0] *= mask[:, :, None]
        outputs, gradients = outputs_and_gradients(
            layer, [x], upstreams, call=lambda x: layer(x, mask=ops.convert_to_tensor(mask))
        )
        assert not gradients[0][~mask].any()
        sums = [np.zeros(each.shape) for each in gradients[1:]]
        for row, length in enumerate(lengths):
            row = slice(row, row + 1)
            sequence, *states = upstreams
            alone, gradients_alone = outputs_and_gradients(
                layer, [x[row, :length]], [sequence[row, :length], *(each[row] for each in states)]
            )
            sequence, *states = outputs
            assert_close([sequence[row, :length], *(each[row] for each in states)], alone)
            assert_close([gradients[0][row, :length]], gradients_alone[:1])
            for total, each in zip(sums, gradients_alone[1:], strict=True):
                total += each
        assert_close(gradients[1:], sums)

    def test_fresh_weights(self):
        width, units = 30, 40
        keras.utils.set_random_seed(0)
        cell = self.cell(units)
        cell.build((None, width))
        weights = weights_of(cell)
        assert list(weights) == ["kernel", "recurrent_kernel", "bias"]
        limit = np.sqrt(6 / (width + self.cell.gates * units))
        assert 0.98 * limit < np.abs(weights["kernel"]).max() <= 1.000001 * limit
        # A uniform distribution's, over 1,200 values and more.
        np.testing.assert_allclose(np.var(weights["kernel"]), limit**2 / 3, rtol=0.1)
        recurrent = weights["recurrent_kernel"]
        assert recurrent.shape == (units, self.cell.gates * units)
        np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(units), rtol=0, atol=1e-5)

        cell = self.cell(4)
        cell.build((None, width))
        np.testing.assert_array_equal(weights_of(cell)["bias"], self.fresh_bias)

    def test_seeded_weights_are_the_same_on_every_backend(self):
        model = zoo.initial_weights.seeded(
            lambda: keras.Sequential([keras.Input((5, 3)), layers.RNN(self.cell(4))]), seed=0
        )
        *kernels, bias = weights_of(model).values()
        checksums = [each.ravel() @ np.arange(1, each.size + 1) for each in kernels]
        np.testing.assert_allclose(checksums, self.checksums, rtol=1e-6)
        np.testing.assert_array_equal(bias, self.fresh_bias)

    @pytest.mark.parametrize("dtype", HALF_UNITS)
    def test_half_precision(self, dtype):
        results = []
        for policy in ("float32", dtype):
            cell = self.cell(UNITS, dtype=policy)
            layer = layers.RNN(cell, return_sequences=True, return_state=True, dtype=policy)
            outputs = self.build(layer)(normal(BATCH, TIME, WIDTH))
            h, states = cell(normal(BATCH, WIDTH), self.new_states())
            results.append([*outputs, h, *states])
            assert all(weight.dtype == "float32" for weight in layer.weights)
            for output in results[-1]:
                assert keras.backend.standardize_dtype(output.dtype) == cell.compute_dtype
        expected, outputs = (
            [ops.convert_to_numpy(ops.cast(each, "float32")) for each in result]
            for result in results
        )
        assert_close(outputs, expected, tolerance=8 * HALF_UNITS[dtype])

    @pytest.mark.parametrize("units", [0, -1, 2.5, "7", None, True, (4,)])
    def test_bad_units_are_named(self, units):
        with pytest.raises(ValueError) as caught:
            self.cell(units)
        assert str(caught.value) == f"units must be an integer of 1 or more, got {units!r}."

    def test_unknown_width_is_named(self):
        with pytest.raises(ValueError) as caught:
            layers.RNN(self.cell(UNITS)).build((None, TIME, None))
        assert "known width" in str(caught.value) and "\n" not in str(caught.value)
        assert "got shape (None, None)" in str(caught.value)

    def test_training_equals_that_of_the_keras_layer(self):
        """Batches of several lengths and sizes, with a dense layer behind the last output."""

        def losses_and_weights(layer):
            model = keras.Sequential([keras.Input((None, WIDTH)), layer, layers.Dense(1)])
            randomize(model)

            def compute_loss(inputs, targets):
                return ops.mean(ops.square(model(inputs, training=True) - targets))

            step = gradient_step(compute_loss, model, keras.optimizers.SGD(0.2))
            losses = [
                ops.convert_to_numpy(step(normal(batch, time, WIDTH), normal(batch, 1)))
                for batch, time in [(BATCH, TIME), (BATCH, TIME), (2, 7), (BATCH, TIME)]
            ]
            return [np.stack(losses), *(ops.convert_to_numpy(each) for each in model.weights)]

        ours = losses_and_weights(layers.RNN(self.cell(UNITS)))
        theirs = losses_and_weights(self.keras_layer(UNITS))
        assert_close(ours, theirs, tolerance=5e-6)
        assert ours[0][-1] < 0.9 * ours[0][0]

    def test_a_saved_model_computes_the_same(self, tmp_path):
        """With cells in both directions, and stacked."""
        model = keras.Sequential(
            [
                keras.Input((None, WIDTH)),
                layers.Bidirectional(layers.RNN(self.cell(UNITS), return_sequences=True)),
                layers.RNN([self.cell(4), self.cell(2)]),
            ]
        )
        inputs = normal(BATCH, TIME, WIDTH)
        expected = ops.convert_to_numpy(randomize(model)(inputs))
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        assert type(loaded.layers[1].cell.cells[0]) is self.cell
        np.testing.assert_array_equal(ops.convert_to_numpy(loaded(inputs)), expected)


QUERY_TIME, QUERY_WIDTH, KEY_TIME, KEY_WIDTH = 3, 6, 4, 2
# Of each kind of place one: masked, first, last, between others; and a row with one key.
KEYS_MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0], [1, 1, 1, 0]], bool)


def attend(scores, keys, mask, upstreams):
    """Softmax and context in float64.

    Returns:
        ([context, weights], gradient of the scores, gradient of the keys by the context).
    """
    exponentials = np.exp(scores) * mask[:, None]
    weights = exponentials / exponentials.sum(axis=-1, keepdims=True)
    context = np.einsum("bts,bsk->btk", weights, keys)
    of_context, of_weights = upstreams
    gradient = of_weights + np.einsum("btk,bsk->bts", of_context, keys)
    mean = (weights * gradient).sum(axis=-1, keepdims=True)
    of_keys = np.einsum("bts,btk->bsk", weights, of_context)
    return [context, weights], weights * (gradient - mean), of_keys


class AttentionContract:
    """
    Attributes:
        make: makes the layer; takes further arguments.
        attention: function of query, keys, weights, mask and upstream gradients that returns, in
            float64, context and weights, and the gradients of query, keys and weights.
        equivalent: function of the layer, query and keys that returns context and weights by
            Keras's own layer.
    """

    def build(self, **arguments):
        layer = self.make(**arguments)
        layer.build((None, None, QUERY_WIDTH), (None, None, KEY_WIDTH))
        return randomize(layer)

    def inputs(self, query_time=QUERY_TIME):
        return normal(BATCH, query_time, QUERY_WIDTH), normal(BATCH, KEY_TIME, KEY_WIDTH)

    def upstreams(self, query_time=QUERY_TIME):
        return normal(BATCH, query_time, KEY_WIDTH), normal(BATCH, query_time, KEY_TIME)

    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize("query_time", [QUERY_TIME, 1])
    def test_values_and_gradients(self, query_time, masked):
        layer = self.build()
        inputs, upstreams = self.inputs(query_time), self.upstreams(query_time)
        mask = KEYS_MASK if masked else np.ones_like(KEYS_MASK)
        keys_mask = ops.convert_to_tensor(mask) if masked else None
        outputs, gradients = outputs_and_gradients(
            layer, inputs, upstreams, call=lambda *inputs: layer(*inputs, keys_mask=keys_mask)
        )
        expected = self.attention(*inputs, weights_of(layer), mask, upstreams)
        assert_close(outputs, expected[0], tolerance=4e-6)
        assert_close(gradients, expected[1], tolerance=4e-6)

    def test_equals_the_keras_layer(self):
        layer = self.build()
        outputs, gradients = outputs_and_gradients(layer, self.inputs(), self.upstreams())
        expected, expected_gradients = outputs_and_gradients(
            layer, self.inputs(), self.upstreams(),
            call=lambda *inputs: self.equivalent(layer, *inputs),
        )  # fmt: skip
        assert_close(outputs, expected, tolerance=4e-6)
        assert_close(gradients, expected_gradients, tolerance=4e-6)

    def test_masked_keys_get_no_weight_and_the_others_all(self):
        _, weights = self.build()(*self.inputs(), keys_mask=KEYS_MASK)
        weights = ops.convert_to_numpy(weights)
        masked = ~np.broadcast_to(KEYS_MASK[:, None], weights.shape)
        assert (weights[masked] == 0).all()
        assert (weights[~masked] > 0).all()
        np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-6)

    def test_a_masked_key_changes_nothing(self):
        layer = self.build()
        query, keys = self.inputs()
        results = []
        for value in (1, -1e3, 1e6):
            keys[~KEYS_MASK] = value
            outputs, gradients = outputs_and_gradients(
                layer, [query, keys], self.upstreams(),
                call=lambda *inputs: layer(*inputs, keys_mask=ops.convert_to_tensor(KEYS_MASK)),
            )  # fmt: skip
            assert not gradients[1][~KEYS_MASK].any()
            results.append(outputs + gradients)
        for result in results[1:]:
            for ours, first in zip(result, results[0], strict=True):
                np.testing.assert_array_equal(ours, first)

    @pytest.mark.parametrize("source", ["masking", "embedding"])
    def test_the_mask_that_keys_carry_is_used(self, source):
        layer, query = self.build(), keras.Input((None, QUERY_WIDTH))
        if source == "masking":
            given = keras.Input((None, KEY_WIDTH))
            keys = layers.Masking()(given)
            values = normal(BATCH, KEY_TIME, KEY_WIDTH) * KEYS_MASK[:, :, None]
        else:
            given = keras.Input((None,), dtype="int32")
            keys = layers.Embedding(9, KEY_WIDTH, mask_zero=True)(given)
            values = np.arange(1, 5) * KEYS_MASK
        model = keras.Model([query, given], [keys, *layer(query, keys)])
        queries, _ = self.inputs()
        keys, *outputs = model([queries, values])
        for ours, expected in zip(outputs, layer(queries, keys, keys_mask=KEYS_MASK), strict=True):
            np.testing.assert_array_equal(
                ops.convert_to_numpy(ours), ops.convert_to_numpy(expected)
            )
        assert (ops.convert_to_numpy(outputs[1])[0, :, :] > 0).all()
        assert (ops.convert_to_numpy(outputs[1])[1, :, 2:] == 0).all()

    def test_the_context_carries_the_mask_of_the_query(self):
        """The pooling behind it leaves the masked time steps out of its mean."""
        layer = self.build()
        query, keys = keras.Input((None, QUERY_WIDTH)), keras.Input((None, KEY_WIDTH))
        context, weights = layer(layers.Masking()(query), keys)
        pooled = [layers.GlobalAveragePooling1D()(each) for each in (context, weights)]
        model = keras.Model([query, keys], [context, weights, *pooled])
        queries, keys = self.inputs()
        queries[:, 2:] = 0
        outputs = [ops.convert_to_numpy(each) for each in model([queries, keys])]
        context, weights, pooled_context, pooled_weights = outputs
        assert_close([pooled_context], [context[:, :2].mean(axis=1)])
        assert_close([pooled_weights], [weights.mean(axis=1)])

    @pytest.mark.parametrize("dtype", ["float32", *HALF_UNITS])
    def test_a_row_without_any_key_is_finite(self, dtype):
        layer = self.build(dtype=dtype)
        mask = KEYS_MASK & np.array([[1], [1], [0], [1], [0]], bool)
        outputs, gradients = outputs_and_gradients(
            layer, self.inputs(), self.upstreams(),
            call=lambda *inputs: [
                ops.cast(each, "float32")
                for each in layer(*inputs, keys_mask=ops.convert_to_tensor(mask))
            ],
        )  # fmt: skip
        assert all(np.isfinite(each).all() for each in outputs + gradients)
        np.testing.assert_allclose(outputs[1][[2, 4]], 1 / KEY_TIME, rtol=1e-6)

    @pytest.mark.parametrize("dtype", HALF_UNITS)
    def test_half_precision(self, dtype):
        layer = self.build(dtype=dtype)
        outputs = layer(*self.inputs(), keys_mask=KEYS_MASK)
        assert all(weight.dtype == "float32" for weight in layer.weights)
        for output in outputs:
            assert keras.backend.standardize_dtype(output.dtype) == layer.compute_dtype
        outputs = [ops.convert_to_numpy(ops.cast(each, "float32")) for each in outputs]
        expected = [
            ops.convert_to_numpy(each) for each in self.build()(*self.inputs(), keys_mask=KEYS_MASK)
        ]
        assert_close(outputs, expected, tolerance=8 * HALF_UNITS[dtype])

    @pytest.mark.parametrize("dtype", HALF_UNITS)
    def test_softmax_in_half_precision_is_taken_in_float32(self, dtype, monkeypatch):
        taken_in, softmax = [], ops.softmax

        def recording(x, axis):
            taken_in.append(keras.backend.standardize_dtype(x.dtype))
            return softmax(x, axis)

        monkeypatch.setattr(ops, "softmax", recording)
        self.build(dtype=dtype)(*self.inputs())
        assert taken_in == ["float32"]

    def test_shapes_are_known_before_the_call(self):
        query, keys = keras.Input((None, QUERY_WIDTH)), keras.Input((None, KEY_WIDTH))
        context, weights = self.make()(query, keys)
        assert context.shape == (None, None, KEY_WIDTH)
        assert weights.shape == (None, None, None)
        query, keys = keras.Input((3, QUERY_WIDTH)), keras.Input((4, KEY_WIDTH))
        context, weights = self.make()(query, keys)
        assert context.shape == (None, 3, KEY_WIDTH)
        assert weights.shape == (None, 3, 4)

    def test_large_scores_do_not_overflow(self):
        """Nearly all of them lie below -1e9 or above 1e9."""
        layer = self.build()
        for variable in layer.weights:
            variable.assign(1e10 * variable)
        for mask in (KEYS_MASK, np.ones_like(KEYS_MASK)):
            outputs, gradients = outputs_and_gradients(
                layer, self.inputs(), self.upstreams(),
                call=lambda *inputs, mask=mask: layer(
                    *inputs, keys_mask=ops.convert_to_tensor(mask)
                ),
            )  # fmt: skip
            assert all(np.isfinite(each).all() for each in outputs + gradients)
            _, weights = outputs
            np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-6)
            assert (weights[~np.broadcast_to(mask[:, None], weights.shape)] == 0).all()

    def test_a_saved_model_computes_the_same(self, tmp_path):
        query, keys = keras.Input((None, QUERY_WIDTH)), keras.Input((None, KEY_WIDTH))
        layer = self.make()
        model = randomize(keras.Model([query, keys], layer(query, layers.Masking()(keys))))
        inputs = list(self.inputs())
        inputs[1] *= KEYS_MASK[:, :, None]
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        assert type(loaded.get_layer(layer.name)) is type(layer)
        for ours, expected in zip(loaded(inputs), model(inputs), strict=True):
            np.testing.assert_array_equal(
                ops.convert_to_numpy(ours), ops.convert_to_numpy(expected)
            )

    def test_fresh_weights(self):
        keras.utils.set_random_seed(0)
        layer = self.make()
        layer.build((None, None, 40), (None, None, 30))
        for weight in weights_of(layer).values():
            limit = np.sqrt(6 / sum(weight.shape))
            assert 0.5 * limit < np.abs(weight).max() <= 1.000001 * limit
