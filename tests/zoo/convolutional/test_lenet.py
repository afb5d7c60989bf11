"""LeNet-5 against the paper's numbers and a NumPy forward pass."""

import keras
import numpy as np
import pytest
from keras import ops

import zoo
from tests.zoo.numpy_network import (
    assert_agree,
    average_pool,
    convolution,
    flatten,
    float64_weights,
    randomize,
)
from zoo.convolutional.lenet import C3_CONNECTIONS, lenet5, squash

# Table I as the paper prints it: a row for each map of S2, a column for each map of C3.
TABLE_I = """
    X...XXX..XXXX.XX
    XX...XXX..XXXX.X
    XXX...XXX..X.XXX
    .XXX..XXXX..X.XX
    ..XXX..XXXX.XX.X
    ...XXX..XXXX.XXX
"""
CONNECTED = np.array([[mark == "X" for mark in row] for row in TABLE_I.split()])


@pytest.fixture(scope="module")
def default_model():
    return zoo.build("lenet5")


def parameters(model, name):
    return sum(layer.count_params() for layer in model.layers if layer.name.startswith(name))


def test_parameter_counts_are_the_papers(default_model):
    counts = {
        name: parameters(default_model, name) for name in ("c1", "s2", "c3", "s4", "c5", "f6")
    }
    assert counts == {"c1": 156, "s2": 12, "c3": 1516, "s4": 32, "c5": 48120, "f6": 10164}
    assert sum(counts.values()) == 60_000
    assert parameters(default_model, "output") == 84 * 10 + 10 == 850
    assert default_model.count_params() == 60_850
    assert all(variable.trainable for variable in default_model.weights)


def test_stage_shapes_are_the_papers(default_model):
    assert default_model.input_shape == (None, 32, 32, 1)
    stages = ("c1", "s2", "c3", "s4", "c5", "f6", "output")
    assert [default_model.get_layer(stage).output.shape[1:] for stage in stages] == [
        (28, 28, 6),
        (14, 14, 6),
        (10, 10, 16),
        (5, 5, 16),
        (1, 1, 120),
        (84,),
        (10,),
    ]


def test_connections_are_the_papers_table():
    columns = [tuple(np.flatnonzero(column)) for column in CONNECTED.T]
    assert list(C3_CONNECTIONS) == columns


def test_connections_are_what_the_papers_text_says():
    def contiguous(size):
        return {frozenset((start + step) % 6 for step in range(size)) for start in range(6)}

    maps = [frozenset(sources) for sources in C3_CONNECTIONS]
    assert [len(sources) for sources in C3_CONNECTIONS] == [3] * 6 + [4] * 9 + [6]
    assert set(maps[:6]) == contiguous(3)
    assert set(maps[6:12]) == contiguous(4)
    assert len(set(maps[12:15])) == 3
    assert not set(maps[12:15]) & contiguous(4)
    assert maps[15] == set(range(6))
    assert [sum(source in sources for sources in maps) for source in range(6)] == [10] * 6


def test_squash_is_the_papers():
    x = np.array([-100.0, -1.0, 0.0, 1.0, 100.0], "float32")
    # Appendix A: amplitude 1.7159, f(1) = 1, f(-1) = -1.
    np.testing.assert_allclose(
        ops.convert_to_numpy(squash(x)), [-1.7159, -1.0, 0.0, 1.0, 1.7159], atol=1e-4
    )


def reference_squash(x):
    return 1.7159 * np.tanh(2 * x / 3)


def reference_subsample(x, coefficient, bias):
    return reference_squash(average_pool(x) * coefficient[0, 0, :, 0] + bias)


def reference_c3(x, weights):
    maps = []
    for index, connected in enumerate(CONNECTED.T):
        kernel, bias = weights[f"c3_map{index}"]
        maps.append(convolution(x[..., connected], kernel, bias))
    return reference_squash(np.concatenate(maps, axis=-1))


def reference_lenet5(images, weights):
    x = reference_squash(convolution(images, *weights["c1"]))
    x = reference_subsample(x, *weights["s2"])
    x = reference_c3(x, weights)
    x = reference_subsample(x, *weights["s4"])
    x = reference_squash(convolution(x, *weights["c5"]))
    kernel, bias = weights["f6"]
    x = reference_squash(flatten(x) @ kernel + bias)
    kernel, bias = weights["output"]
    return x @ kernel + bias


# The larger size leaves C5 with 3x2 positions, and a row out of the first subsampling.
@pytest.mark.parametrize("input_shape", [(32, 32, 1), (41, 36, 3)])
def test_equals_numpy(input_shape):
    model = lenet5(num_classes=7, input_shape=input_shape)
    randomize(model)
    images = np.random.default_rng(1).uniform(-0.1, 1.175, (3, *input_shape)).astype("float32")
    expected = reference_lenet5(images.astype("float64"), float64_weights(model))
    assert_agree(model.predict(images, verbose=0), expected)


def test_a_c3_map_depends_on_the_s2_maps_of_its_column_and_no_other():
    model = lenet5()
    randomize(model)
    c3 = keras.Model(model.input, model.get_layer("c3").output)
    images = np.random.default_rng(1).uniform(-0.1, 1.175, (2, 32, 32, 1)).astype("float32")
    subsampling = model.get_layer("s2")
    coefficient, bias = subsampling.get_weights()
    before = c3.predict(images, verbose=0)
    for source in range(6):
        moved = bias.copy()
        moved[source] += 0.5
        subsampling.set_weights([coefficient, moved])
        changed = np.any(c3.predict(images, verbose=0) != before, axis=(0, 1, 2))
        np.testing.assert_array_equal(changed, CONNECTED[source])
