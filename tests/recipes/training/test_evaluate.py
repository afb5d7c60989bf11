"""Figures against scikit-learn's."""

import keras
import numpy as np
import pytest
from keras import layers
from scipy.special import log_softmax, softmax
from sklearn import metrics

from recipes.training.evaluate import Classification, classify, classify_tokens

LABELS = np.random.default_rng(0).integers(0, 5, 200)
LOGITS = np.random.default_rng(1).normal(0, 3, (200, 5)) + 2 * np.eye(5)[LABELS]
RESULT = Classification(np.zeros((200, 1)), LABELS, LOGITS)


def test_accuracy():
    assert RESULT.accuracy == pytest.approx(metrics.accuracy_score(LABELS, LOGITS.argmax(1)))
    assert 0.3 < RESULT.accuracy < 0.9


def test_loss():
    expected = metrics.log_loss(LABELS, softmax(LOGITS, axis=-1))
    assert RESULT.loss == pytest.approx(expected, rel=1e-12)


def test_loss_of_large_logits_is_finite():
    result = Classification(None, np.array([0, 1]), np.array([[1e4, 0.0], [1e4, 0.0]]))
    assert result.loss == pytest.approx(5e3)


def test_confusion():
    expected = metrics.confusion_matrix(LABELS, LOGITS.argmax(1))
    np.testing.assert_array_equal(RESULT.confusion, expected)


def test_confusion_has_classes_that_do_not_occur():
    result = Classification(None, np.array([0, 0]), np.array([[1.0, 0, 0], [0, 1.0, 0]]))
    np.testing.assert_array_equal(result.confusion, [[1, 1, 0], [0, 0, 0], [0, 0, 0]])


def test_confidence():
    expected = np.exp(log_softmax(LOGITS, axis=-1)).max(axis=-1)
    np.testing.assert_allclose(RESULT.confidence, expected, rtol=1e-12)


@pytest.mark.parametrize("batch_size", [5, 22, 23])  # several batches, two and one
def test_classify_runs_the_model_in_inference_over_all_of_the_split(batch_size):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dropout(0.9, seed=0), layers.Dense(3, name="dense")]
    )
    inputs = np.random.default_rng(0).integers(0, 256, (23, 4), dtype="uint8")
    labels = np.arange(23) % 3
    result = classify(model, (inputs, labels), batch_size)
    kernel, bias = model.get_layer("dense").get_weights()
    np.testing.assert_allclose(result.logits, inputs @ kernel + bias, rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(result.labels, labels)
    assert result.inputs is inputs
    assert result.logits.dtype == "float64"


@pytest.mark.parametrize("batch_size", [2, 3])
def test_classify_takes_several_inputs(batch_size):
    first, second = keras.Input((2,), name="first"), keras.Input((2,), name="second")
    model = keras.Model([first, second], first - second)
    inputs = [np.array([[3, 0], [1, 5], [2, 2]]), np.array([[1, 1], [0, 0], [4, 1]])]
    result = classify(model, (inputs, np.array([0, 0, 1])), batch_size)
    np.testing.assert_array_equal(result.logits, inputs[0] - inputs[1])
    assert result.accuracy == 2 / 3


@pytest.mark.parametrize("batch_size", [2, 3])
def test_tokens_are_classified_in_their_order_and_padding_is_no_token(batch_size):
    tokens = keras.Input((None,), dtype="int32")
    model = keras.Model(tokens, layers.Embedding(9, 3, name="table")(tokens))
    table = np.random.default_rng(0).normal(size=(9, 3))
    table[0] = [9, 0, 0]  # of padding: right by its looks
    model.get_layer("table").set_weights([table])
    inputs = np.array([[5, 8, 1, 0], [2, 0, 0, 0], [7, 3, 4, 6]], "int32")
    labels = np.array([[0, 1, 2, 0], [1, 0, 0, 0], [2, 2, 1, 0]], "int32")
    result = classify_tokens(model, (inputs, labels), inputs != 0, batch_size)
    np.testing.assert_array_equal(result.inputs, [5, 8, 1, 2, 7, 3, 4, 6])
    np.testing.assert_array_equal(result.labels, [0, 1, 2, 1, 2, 2, 1, 0])
    np.testing.assert_allclose(result.logits, table[result.inputs], rtol=1e-6)
    assert result.logits.dtype == "float64"
    assert result.accuracy == np.mean(table[result.inputs].argmax(axis=1) == result.labels)
