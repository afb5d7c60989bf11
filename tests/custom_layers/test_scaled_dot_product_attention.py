import keras
import numpy as np
import pytest
from keras import ops

from custom_layers import ScaledDotProductAttention
from tests.recurrent import HALF_UNITS, assert_close, normal, outputs_and_gradients

BATCH, TIME, PLACES, HEADS, KEY_HEADS, WIDTH, VALUE_WIDTH = 3, 4, 5, 6, 2, 7, 8


def inputs(key_heads=KEY_HEADS, time=TIME, places=PLACES):
    return [
        normal(BATCH, time, HEADS, WIDTH),
        normal(BATCH, places, key_heads, WIDTH),
        normal(BATCH, places, key_heads, VALUE_WIDTH),
    ]


def upstreams(time=TIME, places=PLACES):
    return [normal(BATCH, time, HEADS, VALUE_WIDTH), normal(BATCH, HEADS, time, places)]


def closed_form(queries, keys, values, of_outputs, seen=True, bias=0.0, scale=None):
    """([context, weights], gradients of queries, keys, values), in float64.

    Args:
        seen: what broadcasts to (B, N, T, S), True where a query may look.
    """
    queries, keys, values = (each.astype("float64") for each in (queries, keys, values))
    of_context, of_weights = of_outputs
    group = queries.shape[2] // keys.shape[2]
    served = [np.repeat(each, group, axis=2) for each in (keys, values)]
    scale = 1 / np.sqrt(queries.shape[-1]) if scale is None else scale
    scores = scale * np.einsum("btnk,bsnk->bnts", queries, served[0]) + bias
    exponentials = np.exp(scores) * seen
    weights = exponentials / exponentials.sum(axis=-1, keepdims=True)
    context = np.einsum("bnts,bsnv->btnv", weights, served[1])
    gradient = of_weights + np.einsum("btnv,bsnv->bnts", of_context, served[1])
    of_scores = weights * (gradient - (weights * gradient).sum(axis=-1, keepdims=True))

    def shared(each):
        """The sum over the heads that a head of keys serves."""
        return each.reshape(*each.shape[:2], -1, group, each.shape[-1]).sum(axis=3)

    return [context, weights], [
        scale * np.einsum("bnts,bsnk->btnk", of_scores, served[0]),
        scale * shared(np.einsum("bnts,btnk->bsnk", of_scores, queries)),
        shared(np.einsum("bnts,btnv->bsnv", weights, of_context)),
    ]


def check(layer, given, of_outputs, call=None, **expected):
    outputs, gradients = outputs_and_gradients(layer, given, of_outputs, call)
    values, of_inputs = closed_form(*given, of_outputs, **expected)
    for found, true in zip(outputs + gradients, values + of_inputs, strict=True):
        np.testing.assert_allclose(found, true, atol=1e-5)


@pytest.mark.parametrize("key_heads", [1, 2, 6])
@pytest.mark.parametrize("scale", [None, 0.5])
def test_values_and_gradients(key_heads, scale):
    check(ScaledDotProductAttention(scale=scale), inputs(key_heads), upstreams(), scale=scale)


@pytest.mark.parametrize("window", [None, 1, 3])
def test_causal(window):
    layer = ScaledDotProductAttention(causal=True, window=window)
    distance = np.arange(PLACES)[:, None] - np.arange(PLACES)
    seen = (distance >= 0) & (distance < (window or PLACES))
    check(layer, inputs(time=PLACES), upstreams(PLACES), seen=seen)


MASK = np.random.default_rng(1).random((BATCH, HEADS, TIME, PLACES)) < 0.6
MASK[..., 2] = True  # each query sees one


@pytest.mark.parametrize(
    ("mask", "seen"),
    [
        (MASK, MASK),
        (MASK[:, :1], MASK[:, :1]),
        (MASK[:, 0], MASK[:, :1]),
        (MASK[:, 0, 0], MASK[:, :1, :1]),
        (MASK[:, 0, 0].astype("int32"), MASK[:, :1, :1]),
    ],
    ids=["head", "query of one head", "query", "key", "integers"],
)
def test_masks(mask, seen):
    layer, mask = ScaledDotProductAttention(), ops.convert_to_tensor(mask)
    call = lambda *inputs: layer(*inputs, keys_mask=mask)  # noqa: E731
    check(layer, inputs(), upstreams(), call, seen=seen)


def test_a_mask_beside_causality():
    layer = ScaledDotProductAttention(causal=True)
    mask = np.ones((BATCH, PLACES), bool)
    mask[1, 1:3] = mask[2, 3:] = False
    seen = mask[:, None, None] & np.tri(PLACES, dtype=bool)
    call = lambda *inputs: layer(*inputs, keys_mask=ops.convert_to_tensor(mask))  # noqa: E731
    check(layer, inputs(time=PLACES), upstreams(PLACES), call, seen=seen)


@pytest.mark.parametrize("shape", [(BATCH, HEADS, TIME, PLACES), (1, HEADS, TIME, PLACES)])
def test_bias(shape):
    layer, bias = ScaledDotProductAttention(), normal(*shape)
    call = lambda *inputs: layer(*inputs, bias=ops.convert_to_tensor(bias))  # noqa: E731
    check(layer, inputs(), upstreams(), call, bias=bias)


@pytest.mark.parametrize("causal", [False, True])
def test_equals_keras(causal):
    queries, keys, values = inputs(time=PLACES)
    values = values[..., :WIDTH]
    context, _ = ScaledDotProductAttention(causal=causal)(queries, keys, values)
    expected = ops.dot_product_attention(queries, keys, values, is_causal=causal)
    assert_close([ops.convert_to_numpy(context)], [ops.convert_to_numpy(expected)])


@pytest.mark.parametrize("window", [None, 2])
def test_a_later_token_changes_no_earlier_context(window):
    """To the bit."""
    layer = ScaledDotProductAttention(causal=True, window=window)
    queries, keys, values = inputs(time=PLACES)
    first = ops.convert_to_numpy(layer(queries, keys, values)[0])
    for each in (queries, keys, values):
        each[:, 3:] = 100 * normal(*each[:, 3:].shape, seed=2)
    second = ops.convert_to_numpy(layer(queries, keys, values)[0])
    np.testing.assert_array_equal(first[:, :3], second[:, :3])
    assert not np.array_equal(first[:, 3:], second[:, 3:])


@pytest.mark.parametrize("dtype", ["float32", *HALF_UNITS])
def test_a_query_that_sees_nothing_is_finite(dtype):
    layer = ScaledDotProductAttention(dtype=dtype)
    mask = ops.convert_to_tensor(np.array([[1] * PLACES, [0] * PLACES, [1] * PLACES], bool))
    outputs, gradients = outputs_and_gradients(
        layer, inputs(), upstreams(),
        call=lambda *inputs: [ops.cast(each, "float32") for each in layer(*inputs, keys_mask=mask)],
    )  # fmt: skip
    assert all(np.isfinite(each).all() for each in outputs + gradients)
    np.testing.assert_allclose(outputs[1][1], 1 / PLACES, rtol=1e-3)


@pytest.mark.parametrize("window", [None, 2])
def test_a_causal_query_that_sees_nothing_looks_at_none_behind_it(window):
    """As where a text is padded in front."""
    layer = ScaledDotProductAttention(causal=True, window=window)
    mask = np.ones((BATCH, PLACES), bool)
    mask[:, :3] = False
    weights = layer(*inputs(time=PLACES), keys_mask=ops.convert_to_tensor(mask))[1]
    weights = ops.convert_to_numpy(weights)
    for query in range(3):
        first = 0 if window is None else max(0, query + 1 - window)
        expected = np.zeros(PLACES)
        expected[first : query + 1] = 1 / (query + 1 - first)
        np.testing.assert_allclose(weights[:, :, query], np.tile(expected, (BATCH, HEADS, 1)))


@pytest.mark.parametrize("dtype", HALF_UNITS)
def test_half_precision(dtype):
    layer = ScaledDotProductAttention(dtype=dtype)
    given = [ops.cast(each, layer.compute_dtype) for each in inputs()]
    outputs = [ops.convert_to_numpy(ops.cast(each, "float32")) for each in layer(*given)]
    rounded = [ops.convert_to_numpy(ops.cast(each, "float32")) for each in given]
    expected, _ = closed_form(*rounded, upstreams())
    assert_close(outputs, expected, tolerance=6 * HALF_UNITS[dtype])


def test_dropout_takes_from_the_sum_and_not_from_the_weights():
    layer = ScaledDotProductAttention(dropout_rate=0.4, seed=3)
    plain = ScaledDotProductAttention()
    identity = np.broadcast_to(np.eye(PLACES, dtype="float32"), (BATCH, KEY_HEADS, PLACES, PLACES))
    given = [*inputs()[:2], identity.transpose(0, 2, 1, 3).copy()]
    context, weights = (ops.convert_to_numpy(each) for each in layer(*given, training=True))
    _, expected = (ops.convert_to_numpy(each) for each in plain(*given))
    np.testing.assert_array_equal(weights, expected)
    kept = context.transpose(0, 2, 1, 3) / expected  # of values that are a one, and else zeros
    dropped = np.abs(kept) < 1e-6
    np.testing.assert_allclose(kept[~dropped], 1 / 0.6, rtol=1e-5)
    assert 0.3 < dropped.mean() < 0.5
    for again in (layer(*given), layer(*given, training=False)):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(again[0]), ops.convert_to_numpy(plain(*given)[0])
        )


def test_symbolic_shapes():
    queries = keras.Input((None, HEADS, WIDTH))
    keys, values = keras.Input((None, KEY_HEADS, WIDTH)), keras.Input((None, KEY_HEADS, 3))
    context, weights = ScaledDotProductAttention()(queries, keys, values)
    assert context.shape == (None, None, HEADS, 3)
    assert weights.shape == (None, HEADS, None, None)
    model = keras.Model([queries, keys, values], [context, weights])
    for time in (2, 4):
        given = [*inputs(time=time)[:2], normal(BATCH, PLACES, KEY_HEADS, 3)]
        found = model(given)
        assert [each.shape for each in found] == [
            (BATCH, time, HEADS, 3), (BATCH, HEADS, time, PLACES),
        ]  # fmt: skip


def test_heads_that_cannot_be_shared():
    with pytest.raises(ValueError, match="4 heads of keys cannot serve 6 heads of queries"):
        ScaledDotProductAttention()(*inputs(key_heads=4))


def test_inputs_without_heads():
    queries, keys, values = inputs()
    with pytest.raises(ValueError, match=r"heads and features, .* got one of shape \(3, 4, 7\)"):
        ScaledDotProductAttention()(queries[:, :, 0], keys, values)


@pytest.mark.parametrize(
    ("causal", "window"),
    [(False, 3), (True, 0), (True, -1), (True, 2.5), (True, "3"), (True, True)],
)
def test_a_window_that_is_none(causal, window):
    with pytest.raises(ValueError, match="window must be a positive integer, and attention causal"):
        ScaledDotProductAttention(causal=causal, window=window)
