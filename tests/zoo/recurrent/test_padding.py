"""Sequences of several lengths in one batch: each gives what it gives alone."""

import functools

import keras
import numpy as np
import pytest
from keras import layers, ops

import zoo
from recipes.training.gradient_step import gradient_step
from recipes.training.kept_gradients import KeptGradients

LENGTHS = (4, 2, 0, 2)  # and a row of padding alone
TOKENS = np.array([[3, 1, 4, 1], [5, 8, 0, 0], [0, 0, 0, 0], [2, 6, 0, 0]])
MASK = TOKENS > 0
CLASSES, WIDTH = 3, 4

every_kind = pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
every_case = pytest.mark.parametrize("case", ["classifier", "tagger"])
every_way = pytest.mark.parametrize("both_ways", [False, True], ids=["one way", "both ways"])


@functools.cache
def built(kind, case, both_ways, num_features=None):
    """Two layers with weights of which none is zero: a masked state would show."""
    model = zoo.build(
        f"{kind}_{case}", num_classes=CLASSES, num_features=num_features, vocabulary_size=9,
        embedding_width=3, width=WIDTH, depth=2, bidirectional=both_ways, seed=0,
    )  # fmt: skip
    generator = np.random.default_rng(1)
    model.set_weights([generator.normal(size=each.shape, scale=0.7) for each in model.weights])
    return model


@pytest.fixture(scope="module", autouse=True)
def freed_at_the_end():
    yield
    built.cache_clear()


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def rows_alone(model, rows):
    """Of each row that has any, its part that is no padding: outputs, padded with zeros again."""
    for row, length in enumerate(LENGTHS):
        if length:
            yield row, length, numpy(model(rows[row : row + 1, :length]))[0]


@every_kind
@every_case
@every_way
def test_rows_give_what_they_give_alone(kind, case, both_ways):
    model = built(kind, case, both_ways)
    outputs = numpy(model(TOKENS))
    assert np.all(np.isfinite(outputs))
    for row, length, alone in rows_alone(model, TOKENS):
        found = outputs[row] if case == "classifier" else outputs[row, :length]
        assert found.shape == alone.shape
        # Not to the bit: a product of one row adds up in another order than one of four.
        np.testing.assert_allclose(found, alone, rtol=0, atol=1e-6 * np.abs(alone).max())
        assert np.ptp(alone, axis=-1).min() > 0.01
    if case == "classifier":  # of nothing, the state is zero
        _, bias = model.get_layer("output").get_weights()
        np.testing.assert_array_equal(outputs[2], bias)


@every_kind
@pytest.mark.parametrize(("case", "both_ways"), [("classifier", False), ("tagger", True)])
def test_more_padding_changes_no_bit(kind, case, both_ways):
    model = built(kind, case, both_ways)
    outputs = numpy(model(TOKENS))
    padded = numpy(model(np.pad(TOKENS, ((0, 0), (0, 3)))))
    if case == "tagger":
        outputs, padded = outputs[MASK], padded[:, :4][MASK]
    np.testing.assert_array_equal(padded, outputs)


@every_kind
@pytest.mark.parametrize(("case", "both_ways"), [("classifier", True), ("tagger", False)])
def test_gradients_are_the_sum_of_those_of_the_rows_alone(kind, case, both_ways):
    model = built(kind, case, both_ways)
    shape = (4, CLASSES) if case == "classifier" else (4, 4, CLASSES)
    upstream = np.random.default_rng(2).normal(size=shape).astype("float32")
    counted = MASK.any(axis=1) if case == "classifier" else MASK
    upstream *= counted[..., None]
    recorder = KeptGradients()
    step = gradient_step(
        lambda tokens, upstream: ops.sum(upstream * model(tokens, training=True)), model, recorder
    )

    def gradients(tokens, upstream):
        step(tokens.astype("int32"), upstream)
        return [numpy(each).astype("float64") for each in recorder.gradients]

    together = gradients(TOKENS, upstream)
    expected = [np.zeros(each.shape) for each in together]
    for row, length in enumerate(LENGTHS):
        if length:
            above = upstream[row : row + 1]
            above = above if case == "classifier" else above[:, :length]
            for total, each in zip(
                expected, gradients(TOKENS[row : row + 1, :length], above), strict=True
            ):
                total += each
    for variable, ours, theirs in zip(model.trainable_variables, together, expected, strict=True):
        assert np.abs(theirs).max() > 0
        np.testing.assert_allclose(
            ours, theirs, rtol=0, atol=1e-6 * np.abs(theirs).max(), err_msg=variable.path
        )
    # The embedding of padding is in no sum.
    assert model.trainable_variables[0].shape == (9, 3)
    assert not together[0][0].any()


def features():
    """Zero where there is padding, and a row of padding alone."""
    x = np.random.default_rng(3).normal(size=(4, 4, 2)).astype("float32")
    return x * MASK[:, :, None]


# Keras warns that the mask ends in the model.
@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask")
@every_case
@every_way
def test_features_with_a_mask(case, both_ways):
    """Of the other kinds, those of tests/parity."""
    model, x = built("lstm", case, both_ways, num_features=2), features()
    mask = ops.convert_to_tensor(MASK)
    outputs = numpy(model(x, mask=mask))
    assert np.all(np.isfinite(outputs))
    for row, length, alone in rows_alone(model, x):
        found = outputs[row] if case == "classifier" else outputs[row, :length]
        np.testing.assert_allclose(found, alone, rtol=0, atol=1e-6 * np.abs(alone).max())
    # What stands behind does not matter; without the mask it would.
    filled = np.where(MASK[:, :, None], x, np.float32(50))
    again, unmasked = numpy(model(filled, mask=mask)), numpy(model(x))
    if case == "tagger":
        outputs, again, unmasked = outputs[MASK], again[MASK], unmasked[MASK]
    np.testing.assert_array_equal(again, outputs)
    if case == "classifier" or both_ways:
        assert np.abs(unmasked - outputs).max() > 0.01


@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask")
@every_way
def test_features_whose_padding_a_layer_in_front_finds(both_ways):
    model, x = built("lstm", "classifier", both_ways, num_features=2), features()
    expected = numpy(model(x, mask=ops.convert_to_tensor(MASK)))
    masking = keras.Sequential([keras.Input((None, 2)), layers.Masking(), model])
    tolerance = 1e-6 * np.abs(expected).max()
    np.testing.assert_allclose(numpy(masking(x)), expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(masking.predict(x, verbose=0), expected, rtol=0, atol=tolerance)
    masking.compile("sgd", "mse")
    loss = masking.test_on_batch(x, np.zeros_like(expected))
    np.testing.assert_allclose(loss, np.mean(expected**2), rtol=1e-5)
