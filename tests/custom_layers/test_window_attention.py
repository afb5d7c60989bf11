import numpy as np
import pytest
from keras import ops

from custom_layers import WindowAttention
from tests.recurrent import normal, outputs_and_gradients, randomize

BATCH, HEIGHT, WIDTH, HEADS, FEATURES, VALUE_FEATURES = 2, 4, 9, 2, 3, 5
SHAPE = (None, HEIGHT, WIDTH, HEADS, FEATURES)
SHIFTS = [  # window, shift
    ((2, 3), (0, 0)),
    ((2, 3), (1, 1)),
    ((2, 3), (1, 2)),
    ((2, 3), (0, 2)),
    ((4, 3), (0, 1)),
    ((4, 9), (0, 0)),
    ((4, 9), (1, 4)),
    ((1, 1), (0, 0)),
]


def inputs():
    return [
        normal(BATCH, HEIGHT, WIDTH, HEADS, features, seed=seed)
        for seed, features in enumerate([FEATURES, FEATURES, VALUE_FEATURES])
    ]


def make_layer(window, shift):
    layer = WindowAttention(window, shift)
    layer.build(SHAPE, SHAPE, (*SHAPE[:-1], VALUE_FEATURES))
    return randomize(layer)


def sees(window, shift):
    """(T, T) of all positions of a map: the edges of windows lie at the shift and so on from it."""
    places = np.indices((HEIGHT, WIDTH)).reshape(2, -1)
    row, column = (
        (each - moved) // size for each, size, moved in zip(places, window, shift, strict=True)
    )
    return (row[:, None] == row) & (column[:, None] == column)


def closed_form(queries, keys, values, table, upstream, window, shift):
    """(context, gradients of queries, keys, values and the table), in float64, in one attention."""
    *given, upstream = (
        each.astype("float64").reshape(BATCH, HEIGHT * WIDTH, HEADS, -1)
        for each in (queries, keys, values, upstream)
    )
    queries, keys, values = given
    seen = sees(window, shift)
    row, column = np.indices((HEIGHT, WIDTH)).reshape(2, -1)
    below, beside = row[:, None] - row + window[0] - 1, column[:, None] - column + window[1] - 1
    index = np.where(seen, below * (2 * window[1] - 1) + beside, 0)
    scores = np.einsum("btnk,bsnk->bnts", queries, keys) / np.sqrt(FEATURES)
    exponentials = np.exp(scores + table[index].transpose(2, 0, 1)) * seen
    weights = exponentials / exponentials.sum(axis=-1, keepdims=True)
    of_weights = np.einsum("btnv,bsnv->bnts", upstream, values)
    of_scores = weights * (of_weights - (weights * of_weights).sum(axis=-1, keepdims=True))
    of_table = np.zeros(table.shape)
    np.add.at(of_table, index, of_scores.sum(axis=0).transpose(1, 2, 0))
    context = np.einsum("bnts,bsnv->btnv", weights, values)
    gradients = [
        np.einsum("bnts,bsnk->btnk", of_scores, keys) / np.sqrt(FEATURES),
        np.einsum("bnts,btnk->bsnk", of_scores, queries) / np.sqrt(FEATURES),
        np.einsum("bnts,btnv->bsnv", weights, upstream),
    ]
    maps = [each.reshape(BATCH, HEIGHT, WIDTH, HEADS, -1) for each in (context, *gradients)]
    return [*maps, of_table]


@pytest.mark.parametrize(("window", "shift"), SHIFTS)
def test_values_and_gradients(window, shift):
    layer, given = make_layer(window, shift), inputs()
    upstream = normal(BATCH, HEIGHT, WIDTH, HEADS, VALUE_FEATURES, seed=5)
    (context,), gradients = outputs_and_gradients(layer, given, [upstream])
    table = ops.convert_to_numpy(layer.position_bias).astype("float64")
    expected = closed_form(*given, table, upstream, window, shift)
    for found, true in zip([context, *gradients], expected, strict=True):
        np.testing.assert_allclose(found, true, atol=1e-5)


@pytest.mark.parametrize(("window", "shift"), [((2, 3), (0, 0)), ((2, 3), (1, 2))])
def test_nothing_from_outside_the_window(window, shift):
    """To the bit."""
    layer, (queries, keys, values) = make_layer(window, shift), inputs()
    before = ops.convert_to_numpy(layer(queries, keys, values))
    for place, seen in enumerate(sees(window, shift).T):
        where = (slice(None), *np.unravel_index(place, (HEIGHT, WIDTH)))
        changed = keys.copy(), values.copy()
        for each in changed:
            each[where] += 1
        after = ops.convert_to_numpy(layer(queries, *changed))
        is_other = np.abs(after - before).max(axis=(0, 3, 4)).ravel()
        np.testing.assert_array_equal(is_other[~seen], 0)
        assert (is_other[seen] > 1e-3).all()


def test_a_fresh_table_is_small_and_not_all_zero():
    layer = WindowAttention((20, 20))
    layer.build(*3 * [(None, 40, 20, 4, 2)])
    values = ops.convert_to_numpy(layer.position_bias)
    assert values.shape == (39 * 39, 4)
    assert 0.015 < values.std() < 0.02 and np.abs(values).max() < 0.041


@pytest.mark.parametrize(
    ("window", "shift"),
    [((0, 2), (0, 0)), ((2,), (0,)), ((2, 2), (0, 2)), ((2, 2), (-1, 0)), ((2.0, 2), (0, 0))],
)
def test_impossible_windows(window, shift):
    with pytest.raises(ValueError, match=r"window must be \(rows, columns\), positive"):
        WindowAttention(window, shift)


@pytest.mark.parametrize("shape", [(2, 5, 9, 1, 3), (2, 4, 8, 1, 3), (2, None, 9, 1, 3)])
def test_maps_that_windows_do_not_divide(shape):
    told = f"windows of 2x3 do not divide a map of {shape[1]}x{shape[2]}: pad it"
    with pytest.raises(ValueError, match=told):
        WindowAttention((2, 3)).build(shape, shape, shape)
