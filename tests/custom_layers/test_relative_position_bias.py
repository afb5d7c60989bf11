import numpy as np
import pytest
from keras import ops

from custom_layers import RelativePositionBias
from custom_layers.continuation import Continuation
from tests.recurrent import assert_close, normal, outputs_and_gradients, randomize

HEADS, WIDTH = 3, 4


def make_layer(**arguments):
    layer = RelativePositionBias(HEADS, **arguments)
    layer.build((None, None, WIDTH), (None, None, WIDTH))
    return randomize(layer)


def bucket(distance, num_buckets, max_distance):
    """Of a distance of 0 or more. In whole numbers, which are not rounded:

    log(d / e) / log(m / e) * e >= n is, without the logarithms, (d / e)**e >= (m / e)**n.
    """
    exact = num_buckets // 2
    if distance < exact:
        return distance
    steps = [
        distance**exact * exact**step >= max_distance**step * exact**exact
        for step in range(1, num_buckets - exact)
    ]
    return exact + sum(steps)


def buckets(queries, keys, causal, num_buckets=32, max_distance=128):
    """(T, S) for T queries and S keys."""
    half = num_buckets if causal else num_buckets // 2
    found = np.zeros((queries, keys), int)
    for query in range(queries):
        for key in range(keys):
            behind = key - query
            distance = max(-behind, 0) if causal else abs(behind)
            found[query, key] = bucket(distance, half, max_distance)
            if behind > 0 and not causal:
                found[query, key] += half
    return found


def found_buckets(layer, queries, keys):
    """(T, S): those of a layer whose heads have the numbers of the buckets for biases."""
    layer.biases.assign(np.repeat(np.arange(layer.num_buckets)[:, None], HEADS, axis=1))
    bias = layer(np.zeros((2, queries, WIDTH)), np.zeros((2, keys, WIDTH)))
    bias = ops.convert_to_numpy(bias)
    assert bias.shape == (1, HEADS, queries, keys)
    np.testing.assert_array_equal(bias, np.broadcast_to(bias[:, :1], bias.shape))
    return bias[0, 0]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("sizes", [{}, {"num_buckets": 8, "max_distance": 20}])
def test_values_and_gradients(causal, sizes):
    layer = make_layer(causal=causal, **sizes)
    biases = ops.convert_to_numpy(layer.biases)
    of = buckets(6, 9, causal, **sizes)
    given, upstream = [normal(2, 6, WIDTH), normal(2, 9, WIDTH)], normal(1, HEADS, 6, 9)
    outputs, gradients = outputs_and_gradients(layer, given, [upstream])
    np.testing.assert_array_equal(outputs[0], biases[of].transpose(2, 0, 1)[None])
    expected = np.zeros(biases.shape)
    np.add.at(expected, of, upstream[0].transpose(1, 2, 0))
    assert_close(gradients[2:], [expected])
    assert not np.any(gradients[0]) and not np.any(gradients[1])


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"num_buckets": 8, "max_distance": 20},
        {"num_buckets": 36, "max_distance": 32},
        {"num_buckets": 4, "max_distance": 3},
    ],
)
def test_buckets_of_far_keys(causal, sizes):
    layer = make_layer(causal=causal, **sizes)
    for queries, keys in [(4, 150), (150, 4)]:
        expected = buckets(queries, keys, causal, **sizes)
        np.testing.assert_array_equal(found_buckets(layer, queries, keys), expected)


@pytest.mark.parametrize("start", [0, 1, 5])
def test_a_later_start(start):
    layer, memory = make_layer(causal=True), normal(2, 9, WIDTH)
    whole = ops.convert_to_numpy(layer(memory, memory))
    for given in (start, ops.convert_to_tensor(start, "int32")):
        with Continuation(given, capacity=9):  # of which there are the keys
            found = ops.convert_to_numpy(layer(memory[:, :2], memory[:, :2]))
        np.testing.assert_array_equal(found, whole[:, :, start : start + 2])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"num_heads": 0}, "num_heads must be a positive integer, got 0"),
        ({"num_heads": 2.0}, "num_heads must be a positive integer, got 2.0"),
        ({"max_distance": None}, "max_distance must be a positive integer, got None"),
        ({"num_buckets": 6}, "multiple of 4 with causal=False, got 6"),
        ({"num_buckets": 0}, "multiple of 4 with causal=False, got 0"),
        ({"num_buckets": 7, "causal": True}, "multiple of 2 with causal=True, got 7"),
        ({"max_distance": 8}, "must be above 8, up to which num_buckets=32 tells .* got 8"),
        ({"max_distance": 16, "causal": True}, "must be above 16, up to .* got 16"),
    ],
)
def test_bad_arguments_are_named(arguments, told):
    with pytest.raises(ValueError, match=told):
        RelativePositionBias(**{"num_heads": HEADS, **arguments})
