"""Tokens seen piece by piece give what they give all at once."""

import numpy as np
import pytest
from keras import ops

from custom_layers import MultiHeadAttention, RotaryPositions, ScaledDotProductAttention
from custom_layers.continuation import Continuation, continuation, first_position

BATCH, TIME, HEADS, WIDTH = 2, 9, 6, 4
GENERATOR = np.random.default_rng(0)


def random(*shape):
    return GENERATOR.normal(size=shape).astype("float32")


def piece_by_piece(call, pieces, capacity, convert=int):
    """Outputs of ``call``, a function of (first token, last token), at all tokens."""
    outputs, past, start = [], None, 0
    for size in pieces:
        with Continuation(convert(start), past, capacity) as inside:
            outputs.append(ops.convert_to_numpy(call(start, start + size)))
        past, start = inside.past, start + size
    return np.concatenate(outputs, axis=1)


@pytest.mark.parametrize("pieces", [(9,), (4, 1, 1, 3), (1,) * 9], ids=str)
@pytest.mark.parametrize("capacity", [TIME, 16])
@pytest.mark.parametrize("key_heads", [HEADS, 2])
@pytest.mark.parametrize("window", [None, 3])
def test_attention(pieces, capacity, key_heads, window):
    layer = ScaledDotProductAttention(causal=True, window=window)
    queries = random(BATCH, TIME, HEADS, WIDTH)
    keys, values = random(BATCH, TIME, key_heads, WIDTH), random(BATCH, TIME, key_heads, 3)
    expected = ops.convert_to_numpy(layer(queries, keys, values)[0])

    def call(first, last):
        return layer(*(each[:, first:last] for each in (queries, keys, values)))[0]

    for convert in (int, lambda start: ops.convert_to_tensor(start, "int32")):
        found = piece_by_piece(call, pieces, capacity, convert)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_several_layers_keep_apart():
    """Each has keys of its own, in the order of the calls; what is not causal keeps none."""
    first, second = (MultiHeadAttention(2, causal=True) for _ in range(2))
    across, memory = MultiHeadAttention(2), random(BATCH, 5, 8)
    inputs = ops.convert_to_tensor(random(BATCH, TIME, 8))

    def network(x):
        x = first(x, x)[0] + x
        x = across(x, memory)[0] + x
        return second(x, x)[0]

    expected = ops.convert_to_numpy(network(inputs))
    found = piece_by_piece(lambda first, last: network(inputs[:, first:last]), (3, 1, 5), TIME)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    with Continuation(0, capacity=12) as inside:
        network(inputs)
    assert [[each.shape for each in pair] for pair in inside.past] == [[(BATCH, 2, 12, 4)] * 2] * 2


def test_what_was_written_before_does_not_change():
    layer, x = ScaledDotProductAttention(causal=True), random(BATCH, TIME, HEADS, WIDTH)
    with Continuation(0, capacity=TIME) as first:
        layer(*[x[:, :4]] * 3)
    with Continuation(4, first.past) as second:
        layer(*[x[:, 4:6]] * 3)
    expected = np.zeros_like(x)
    expected[:, :6] = x[:, :6]
    for each in second.past[0]:
        np.testing.assert_array_equal(ops.convert_to_numpy(each).transpose(0, 2, 1, 3), expected)


def test_rotary_positions():
    layer, x = RotaryPositions(), random(BATCH, TIME, HEADS, WIDTH)
    expected = ops.convert_to_numpy(layer(x))
    found = piece_by_piece(lambda first, last: layer(x[:, first:last]), (2, 1, 6), TIME)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    with Continuation(3):  # positions that are given stay
        given = ops.convert_to_numpy(layer(x, np.arange(TIME)))
    np.testing.assert_allclose(given, expected, atol=1e-6)


def test_it_is_over_outside():
    assert continuation() is None and first_position() == 0
    with pytest.raises(RuntimeError), Continuation(5) as outer:
        assert continuation() is outer and first_position() == 5
        with Continuation(7) as inner:
            assert continuation() is inner and first_position() == 7
        assert continuation() is outer and first_position() == 5
        raise RuntimeError
    assert continuation() is None and first_position() == 0
