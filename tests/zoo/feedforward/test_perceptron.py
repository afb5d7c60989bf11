"""The perceptron against scikit-learn's, the rule in NumPy, and what is proved of it."""

import re

import keras
import numpy as np
import pytest
from keras import ops
from sklearn import linear_model

from recipes.training.gradient_step import gradient_step
from zoo.feedforward.perceptron import perceptron, perceptron_loss, step
from zoo.initial_weights import seeded

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
AND, OR, XOR = ([0, 0, 0, 1], [0, 1, 1, 1], [0, 1, 1, 0])


def eighths(*shape, seed=0):
    """Numbers with which float32 and float64 compute alike, and exactly."""
    values = np.random.default_rng([seed, *shape]).normal(size=shape)
    return (np.round(8 * values) / 8).astype("float32")


def separable():
    """120 examples of 5 features, in two classes that a plane parts, in no order."""
    examples = eighths(200, 5)
    distances = examples @ [1, -2, 0.5, 0, 3] + 0.5
    far = np.abs(distances) > 0.5
    return examples[far][:120], (distances > 0)[far][:120].astype("int32")


def from_zeros(**arguments):
    model = perceptron(**arguments)
    model.set_weights([np.zeros(weight.shape) for weight in model.weights])
    return model


def learning(model):
    """A function of examples and targets (B, N) that takes them in one by one, and returns how
    many moved the weights."""

    def compute_loss(examples, targets):
        return perceptron_loss(targets, model(examples, training=True))

    update = gradient_step(compute_loss, model, keras.optimizers.SGD(1.0))

    def one_epoch(examples, targets):
        moves, before = 0, model.get_weights()
        for at in range(len(examples)):
            update(examples[at : at + 1], targets[at : at + 1])
            after = model.get_weights()
            moves += any(map(np.any, map(np.not_equal, before, after)))
            before = after
        return moves

    return one_epoch


def column(targets):
    return np.array(targets, "float32")[:, None]


@pytest.mark.parametrize(
    "examples, targets",
    [(CORNERS, AND), (CORNERS, OR), (CORNERS, XOR), separable()],
    ids=["and", "or", "xor", "separable"],
)
def test_equals_scikit_learn_after_every_epoch(examples, targets):
    theirs = linear_model.Perceptron(shuffle=False, eta0=1.0)
    model = from_zeros(input_shape=examples.shape[1:])
    one_epoch, moves = learning(model), []
    for _ in range(8):
        theirs.partial_fit(examples, targets, classes=[0, 1])
        moves.append(one_epoch(examples, column(targets)))
        kernel, bias = model.get_weights()
        np.testing.assert_array_equal(kernel.T, theirs.coef_)
        np.testing.assert_array_equal(bias, theirs.intercept_)
        fires = ops.convert_to_numpy(step(model(examples)))
        np.testing.assert_array_equal(fires[:, 0], theirs.predict(examples))
    assert moves[0] > 0


def test_units_learn_by_themselves_as_scikit_learns_one_against_the_rest():
    examples, targets = eighths(60, 4), np.arange(60) % 3
    theirs = linear_model.Perceptron(shuffle=False, eta0=1.0)
    model = from_zeros(num_classes=3, input_shape=(4,))
    one_epoch = learning(model)
    for _ in range(2):
        theirs.partial_fit(examples, targets, classes=[0, 1, 2])
        one_epoch(examples, np.eye(3, dtype="float32")[targets])
        kernel, bias = model.get_weights()
        np.testing.assert_array_equal(kernel.T, theirs.coef_)
        np.testing.assert_array_equal(bias, theirs.intercept_)


def test_the_rule_from_other_weights():
    """Logits on both sides and at 0, for units that should fire and that should not."""
    kernel, bias = eighths(3, 4), eighths(4, seed=1)
    kernel[:, 0] = bias[0] = 0
    examples, targets = eighths(40, 3), np.random.default_rng(0).integers(0, 2, (40, 4))
    model = perceptron(num_classes=4, input_shape=(3,))
    model.set_weights([kernel, bias])
    learning(model)(examples, targets.astype("float32"))

    first = set()
    for x, t in zip(examples, targets, strict=True):
        for unit in range(4):
            logit = x @ kernel[:, unit] + bias[unit]
            first.add((unit, np.sign(logit), t[unit]))
            right = logit > 0 if t[unit] else logit < 0
            if not right:
                kernel[:, unit] += x if t[unit] else -x
                bias[unit] += 1 if t[unit] else -1
    assert {(sign, target) for _, sign, target in first} >= {(-1, 1), (-1, 0), (1, 1), (1, 0)}
    for ours, expected in zip(model.get_weights(), [kernel, bias], strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_the_loss_is_the_distance_of_what_is_wrong_from_0():
    logits = ops.convert_to_tensor(np.array([[2, -3], [-0.5, 4], [0, 0], [1, -1]], "float32"))
    for dtype in ("float32", "int32", "bool"):
        targets = np.array([[0, 1], [1, 0], [0, 1], [1, 0]], dtype)
        assert ops.convert_to_numpy(perceptron_loss(targets, logits)) == 2 + 3 + 0.5 + 4


@pytest.mark.parametrize("target", [0, 1])
def test_a_logit_of_0_is_wrong_for_both_classes(target):
    model = from_zeros()
    learning(model)(np.array([[3, -2]], "float32"), column([target]))
    sign = 2 * target - 1
    kernel, bias = model.get_weights()
    np.testing.assert_array_equal(kernel, [[3 * sign], [-2 * sign]])
    np.testing.assert_array_equal(bias, [sign])


@pytest.mark.parametrize("targets, plane", [(AND, (2, 2, -3)), (OR, (2, 2, -1))])
def test_it_learns_what_a_plane_parts_within_novikoffs_bound(targets, plane):
    model = from_zeros()
    one_epoch = learning(model)
    moves = [one_epoch(CORNERS, column(targets)) for _ in range(20)]
    fires = ops.convert_to_numpy(step(model(CORNERS)))
    np.testing.assert_array_equal(fires, column(targets))
    assert moves[-1] == 0

    with_ones = np.append(CORNERS, np.ones((4, 1)), axis=1)  # the bias's
    radius = np.linalg.norm(with_ones, axis=1).max()
    margin = np.abs(with_ones @ plane).min() / np.linalg.norm(plane)
    assert 0 < sum(moves) <= (radius / margin) ** 2


def test_it_never_ends_for_xor():
    model = from_zeros()
    one_epoch = learning(model)
    assert all(one_epoch(CORNERS, column(XOR)) for _ in range(30))
    for weight in model.get_weights():
        assert np.abs(weight).max() <= 3  # it goes in circles


@pytest.mark.parametrize("dtype", ["float32", "float16", "int32"])
def test_step(dtype):
    fires = step(ops.convert_to_tensor(np.array([[-2, 0, 1], [3, -1, 0]], dtype)))
    assert keras.backend.standardize_dtype(fires.dtype) == "float32"
    np.testing.assert_array_equal(ops.convert_to_numpy(fires), [[0, 0, 1], [1, 0, 0]])


def test_sizes_and_fresh_weights():
    model = perceptron()
    assert (model.input_shape, model.output_shape) == ((None, 2), (None, 1))
    assert model.count_params() == 2 + 1
    model = seeded(perceptron, 0, num_classes=30, input_shape=(50,))
    assert model.count_params() == 30 * 50 + 30
    assert [layer.name for layer in model.layers] == ["example", "output"]
    kernel, bias = model.get_weights()
    limit = np.sqrt(6 / 80)  # Glorot and Bengio 2010
    assert 0.98 * limit < np.abs(kernel).max() <= limit
    assert not np.any(bias)
    # Logits, of which no activation has made something else.
    examples = eighths(6, 50)
    np.testing.assert_allclose(
        ops.convert_to_numpy(model(examples)), examples @ kernel, rtol=0, atol=1e-5
    )


def test_without_its_units_it_gives_the_examples():
    model = perceptron(num_classes=None, input_shape=(4,))
    assert model.weights == []
    np.testing.assert_array_equal(ops.convert_to_numpy(model(eighths(3, 4))), eighths(3, 4))


@pytest.mark.parametrize(
    "shape", [(), (0,), (-1,), (None,), (2.5,), (2, 2), (4, 4, 1), 2, "2", ["2"], None]
)
def test_impossible_input_shape_is_refused(shape):
    told = r"^perceptron needs input_shape \(D,\), such as \(8,\), got {}\.$"
    with pytest.raises(ValueError, match=told.format(re.escape(repr(shape)))):
        perceptron(input_shape=shape)


@pytest.mark.parametrize("shape", [[2], (np.int64(2),)])
def test_other_integers_in_other_sequences_are_taken(shape):
    assert perceptron(input_shape=shape).input_shape == (None, 2)
