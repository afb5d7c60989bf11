import keras
import numpy as np
import pytest
from keras import layers, ops

from custom_layers import AttentiveDecoder
from tests.custom_layers.test_gru_cell import step
from tests.recurrent import (
    BATCH,
    HALF_UNITS,
    KEYS_MASK,
    UNITS,
    WIDTH,
    assert_close,
    attend,
    normal,
    outputs_and_gradients,
    randomize,
    weights_of,
)

TIME, KEY_TIME, KEY_WIDTH, VALUE_WIDTH = 3, 4, 5, 2
FULL = np.ones_like(KEYS_MASK)


def build(**arguments):
    layer = AttentiveDecoder(UNITS, **arguments)
    layer.build(
        (None, None, WIDTH), (None, None, KEY_WIDTH), (None, None, VALUE_WIDTH), (None, UNITS)
    )
    return randomize(layer)


def arrays(time=TIME):
    shapes = [(time, WIDTH), (KEY_TIME, KEY_WIDTH), (KEY_TIME, VALUE_WIDTH), (UNITS,)]
    return [normal(BATCH, *shape) for shape in shapes]


def upstreams(time=TIME):
    return [normal(BATCH, time, size, seed=1) for size in (UNITS, VALUE_WIDTH, KEY_TIME)]


def call(layer, mask):
    return lambda *inputs: layer(*inputs, keys_mask=ops.convert_to_tensor(mask))


def expected(inputs, weights, mask, upstreams):
    """Outputs, and gradients of inputs and weights, step by step and back again, in float64."""
    x, keys, values, h = (each.astype("float64") for each in inputs)
    query_kernel, score_kernel = weights["query_kernel"], weights["score_kernel"][:, 0]
    taken, outputs = [], []
    for t in range(x.shape[1]):
        compared = np.tanh((h @ query_kernel)[:, None] + keys)
        scores = (compared @ score_kernel)[:, None]
        zeros = [np.zeros((BATCH, 1, size)) for size in (VALUE_WIDTH, KEY_TIME)]
        (context, alignment), _, _ = attend(scores, values, mask, zeros)
        seen = np.concatenate([x[:, t], context[:, 0]], axis=1)
        taken.append((h, compared, scores, seen))
        ((h,), _) = step(seen, [h], weights, [np.zeros_like(h)])
        outputs.append((h, context[:, 0], alignment[:, 0]))

    of_x, of_keys, of_values = np.zeros_like(x), np.zeros_like(keys), np.zeros_like(values)
    of_h, of_weights = np.zeros_like(h), dict.fromkeys(weights, 0.0)
    for t in reversed(range(x.shape[1])):
        h, compared, scores, seen = taken[t]
        up_h, up_context, up_alignment = (each[:, t].astype("float64") for each in upstreams)
        _, gradients = step(seen, [h], weights, [of_h + up_h])
        of_seen, of_h, *of_gru = gradients
        of_x[:, t], of_context = np.split(of_seen, [WIDTH], axis=1)
        _, of_scores, more = attend(
            scores, values, mask, [(of_context + up_context)[:, None], up_alignment[:, None]]
        )
        of_values += more
        of_sums = of_scores[:, 0, :, None] * score_kernel * (1 - compared**2)  # (B, S, A)
        of_keys += of_sums
        of_h = of_h + of_sums.sum(axis=1) @ query_kernel.T
        of_step = [
            h.T @ of_sums.sum(axis=1), np.einsum("bsa,bs->a", compared, of_scores[:, 0])[:, None],
            *of_gru,
        ]  # fmt: skip
        of_weights = {
            name: total + each
            for (name, total), each in zip(of_weights.items(), of_step, strict=True)
        }
    outputs = [np.stack(each, axis=1) for each in zip(*outputs, strict=True)]
    return outputs, [of_x, of_keys, of_values, of_h, *of_weights.values()]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("time", [TIME, 1])
def test_values_and_gradients(time, masked):
    layer = build()
    assert list(weights_of(layer)) == [
        "query_kernel", "score_kernel", "kernel", "recurrent_kernel", "bias",
    ]  # fmt: skip
    outputs, gradients = outputs_and_gradients(
        layer, arrays(time), upstreams(time), call(layer, KEYS_MASK) if masked else None
    )
    mask = KEYS_MASK if masked else FULL
    values, slopes = expected(arrays(time), weights_of(layer), mask, upstreams(time))
    assert_close(outputs, values, tolerance=4e-6)
    assert_close(gradients, slopes, tolerance=4e-6)


def test_equals_the_keras_layers_step_by_step():
    layer = build()
    attention, cell = layers.AdditiveAttention(use_scale=True), layers.GRUCell(UNITS)
    attention.build([(None, None, KEY_WIDTH)] * 3)
    attention.scale = layer.score_kernel[:, 0]
    cell.build((None, WIDTH + VALUE_WIDTH))
    cell.set_weights(layer.gru.get_weights())

    def by_keras(x, keys, values, h):
        outputs = []
        for t in range(TIME):
            query = ops.matmul(h, layer.query_kernel)[:, None]
            context, weights = attention([query, values, keys], return_attention_scores=True)
            h, _ = cell(ops.concatenate([x[:, t], context[:, 0]], axis=1), [h])
            outputs.append((h, context[:, 0], weights[:, 0]))
        return [ops.stack(each, axis=1) for each in zip(*outputs, strict=True)]

    outputs = [ops.convert_to_numpy(each) for each in layer(*arrays())]
    tensors = [ops.convert_to_tensor(each) for each in arrays()]
    assert_close(outputs, [ops.convert_to_numpy(each) for each in by_keras(*tensors)], 4e-6)


def test_a_masked_key_changes_nothing():
    layer, results = build(), []
    for value in (1, -1e3, 1e6):
        x, keys, values, state = arrays()
        keys[~KEYS_MASK] = values[~KEYS_MASK] = value
        outputs, gradients = outputs_and_gradients(
            layer, [x, keys, values, state], upstreams(), call(layer, KEYS_MASK)
        )
        assert not outputs[2][~np.broadcast_to(KEYS_MASK[:, None], outputs[2].shape)].any()
        assert not gradients[1][~KEYS_MASK].any()
        assert not gradients[2][~KEYS_MASK].any()
        results.append(outputs + gradients)
    for result in results[1:]:
        for ours, first in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(ours, first)


def functional():
    """The layer in a model, whose keys carry the mask of zeros."""
    shapes = [(None, WIDTH), (None, KEY_WIDTH), (None, VALUE_WIDTH), (UNITS,)]
    inputs = [keras.Input(shape) for shape in shapes]
    x, keys, values, state = inputs
    layer = AttentiveDecoder(UNITS, name="decoder")
    outputs = layer(layers.Masking()(x), layers.Masking()(keys), values, state)
    pooled = [layers.GlobalAveragePooling1D()(each) for each in outputs]
    return randomize(keras.Model(inputs, [*outputs, *pooled]))


def test_masks():
    """That of the keys is used; that of the inputs is handed on, to the pooling here."""
    model, inputs = functional(), arrays()
    inputs[0][:, 2:] = 0
    inputs[1] *= KEYS_MASK[:, :, None]
    states, contexts, weights, *pooled = (ops.convert_to_numpy(each) for each in model(inputs))
    expected = call(model.get_layer("decoder"), KEYS_MASK)(*inputs)
    assert_close([states, contexts, weights], [ops.convert_to_numpy(each) for each in expected])
    assert_close(pooled[:2], [each[:, :2].mean(axis=1) for each in (states, contexts)])
    assert_close(pooled[2:], [weights.mean(axis=1)])


@pytest.mark.parametrize("dtype", ["float32", *HALF_UNITS])
def test_a_row_without_any_key_is_finite(dtype):
    mask = KEYS_MASK & np.array([[1], [1], [0], [1], [0]], bool)
    layer = build(dtype=dtype)
    outputs, gradients = outputs_and_gradients(
        layer, arrays(), upstreams(),
        call=lambda *inputs: [ops.cast(each, "float32") for each in call(layer, mask)(*inputs)],
    )  # fmt: skip
    assert all(np.isfinite(each).all() for each in outputs + gradients)
    np.testing.assert_allclose(outputs[2][[2, 4]], 1 / KEY_TIME, rtol=1e-6)


@pytest.mark.parametrize("dtype", HALF_UNITS)
def test_half_precision(dtype, monkeypatch):
    taken_in, softmax = set(), ops.softmax

    def recording(x, axis):
        taken_in.add(keras.backend.standardize_dtype(x.dtype))
        return softmax(x, axis)

    monkeypatch.setattr(ops, "softmax", recording)
    layer = build(dtype=dtype)
    outputs = call(layer, KEYS_MASK)(*arrays())
    assert taken_in == {"float32"}
    assert all(weight.dtype == "float32" for weight in layer.weights)
    assert layer.gru.compute_dtype == layer.compute_dtype
    for output in outputs:
        assert keras.backend.standardize_dtype(output.dtype) == layer.compute_dtype
    outputs = [ops.convert_to_numpy(ops.cast(each, "float32")) for each in outputs]
    expected = call(build(), KEYS_MASK)(*arrays())
    expected = [ops.convert_to_numpy(each) for each in expected]
    assert_close(outputs, expected, tolerance=8 * HALF_UNITS[dtype])


@pytest.mark.parametrize(("time", "key_time"), [(None, None), (3, 4)])
def test_shapes_are_known_before_the_call(time, key_time):
    outputs = AttentiveDecoder(UNITS)(
        keras.Input((time, WIDTH)), keras.Input((key_time, KEY_WIDTH)),
        keras.Input((key_time, VALUE_WIDTH)), keras.Input((UNITS,)),
    )  # fmt: skip
    shapes = [(None, time, size) for size in (UNITS, VALUE_WIDTH, key_time)]
    assert [output.shape for output in outputs] == shapes


def test_a_saved_model_computes_the_same(tmp_path):
    model = functional()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.get_layer("decoder")) is AttentiveDecoder
    for ours, theirs in zip(loaded(arrays()), model(arrays()), strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs))


def test_keras_trains_it_compiled_where_it_can_be():
    """On batches of several lengths."""
    model = functional()
    model.compile(keras.optimizers.SGD(0.05), "mse", jit_compile="auto")
    losses = []
    for time in (TIME, TIME, 1, TIME):
        inputs = arrays(time)
        targets = [0 * ops.convert_to_numpy(each) for each in model(inputs)]
        losses.append(model.train_on_batch(inputs, targets))
    losses = [np.ravel(each)[0] for each in losses]
    assert losses[3] < losses[1] < losses[0]
    assert model.jit_compile == (keras.backend.backend() == "jax")


def test_fresh_weights():
    keras.utils.set_random_seed(0)
    layer = AttentiveDecoder(40)
    layer.build((None, None, 6), (None, None, 30), (None, None, 20), (None, 40))
    weights = weights_of(layer)
    assert not weights.pop("bias").any()
    recurrent = weights.pop("recurrent_kernel")
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(40), rtol=0, atol=1e-5)
    assert weights["kernel"].shape == (26, 120)
    for weight in weights.values():
        limit = np.sqrt(6 / sum(weight.shape))
        assert 0.5 * limit < np.abs(weight).max() <= 1.000001 * limit


@pytest.mark.parametrize("units", [0, -1, 2.5, "7", None, True, (4,)])
def test_bad_units_are_named(units):
    with pytest.raises(ValueError) as caught:
        AttentiveDecoder(units)
    assert str(caught.value) == f"units must be an integer of 1 or more, got {units!r}."


@pytest.mark.parametrize("unknown", range(3))
def test_unknown_widths_are_named(unknown):
    shapes = [(None, None, size) for size in (WIDTH, KEY_WIDTH, VALUE_WIDTH)]
    shapes[unknown] = (None, None, None)
    widths = "{}, {} and {}".format(*(shape[-1] for shape in shapes))
    with pytest.raises(ValueError, match=f"need known widths, .* got {widths}.$"):
        AttentiveDecoder(UNITS).build(*shapes, (None, UNITS))
