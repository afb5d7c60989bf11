"""Initial weights: each distribution against its definition and Keras's, and who decides them."""

import random
import zlib

import keras
import numpy as np
import pytest
from keras import initializers, layers, ops
from scipy import stats

import zoo
from zoo.initial_weights import draw_weights, remembered_initializers, seeded, without_values

SHAPE = (300, 700)  # fan-in 300, fan-out 700
CONVOLUTION = (3, 3, 40, 60)  # fan-in 360, fan-out 540


class Weights(layers.Layer):
    """A layer of weights and nothing else."""

    def __init__(self, *given, **options):
        super().__init__(**options)
        self.given = given

    def build(self, _=None):
        for index, options in enumerate(self.given):
            self.add_weight(**options, name=f"weight{index}")
        self.built = True


def draw(*given, seed=0):
    """Draws weights that are given by the options of add_weight, as NumPy arrays."""
    with remembered_initializers():
        layer = Weights(*given)
        layer.build()
    draw_weights(layer, seed=seed)
    return [ops.convert_to_numpy(weight) for weight in layer.weights]


def draw_one(initializer, shape=SHAPE, seed=0):
    (value,) = draw({"shape": shape, "initializer": initializer}, seed=seed)
    return value


def uniform(limit):
    return stats.uniform(-limit, 2 * limit)


def truncated(deviation):
    """The truncated normal distribution with this standard deviation after the cut."""
    return truncated_from(deviation / stats.truncnorm(-2, 2).std())


def truncated_from(deviation, mean=0.0):
    """The normal distribution with this deviation before the cut."""
    return stats.truncnorm(-2, 2, loc=mean, scale=deviation)


# What an initializer's definition says, for a matrix of fan-in 300 and fan-out 700.
DEFINITIONS = {
    "glorot_uniform": uniform((6 / (300 + 700)) ** 0.5),
    "glorot_normal": truncated((2 / (300 + 700)) ** 0.5),
    "he_uniform": uniform((6 / 300) ** 0.5),
    "he_normal": truncated((2 / 300) ** 0.5),
    "lecun_uniform": uniform((3 / 300) ** 0.5),
    "lecun_normal": truncated((1 / 300) ** 0.5),
    "random_uniform": uniform(0.05),
    "random_normal": stats.norm(0, 0.05),
    "truncated_normal": truncated_from(0.05),
}
WITH_ARGUMENTS = [
    (lambda: initializers.RandomUniform(-0.1, 0.3), stats.uniform(-0.1, 0.4)),
    (lambda: initializers.RandomNormal(1.0, 0.2), stats.norm(1, 0.2)),
    (lambda: initializers.TruncatedNormal(-1.0, 0.2), truncated_from(0.2, -1)),
    (
        lambda: initializers.VarianceScaling(3.0, "fan_out", "untruncated_normal"),
        stats.norm(0, (3 / 700) ** 0.5),
    ),
    (lambda: initializers.VarianceScaling(0.5, "fan_avg", "uniform"), uniform((3e-3) ** 0.5)),
    (lambda: initializers.VarianceScaling(0.5, "fan_in"), truncated((0.5 / 300) ** 0.5)),
    (
        lambda: initializers.GlorotUniform(input_axes=[1], output_axes=[0, 1]),
        uniform((6 / (700 + 300 * 700)) ** 0.5),
    ),
]
CASES = [(lambda name=name: initializers.get(name), each) for name, each in DEFINITIONS.items()]


@pytest.mark.parametrize(("make", "definition"), CASES + WITH_ARGUMENTS)
def test_values_are_distributed_as_defined(make, definition):
    values = draw_one(make()).ravel()
    assert values.dtype == np.float32
    assert stats.kstest(values, definition.cdf).pvalue > 0.01
    error = definition.std() / len(values) ** 0.5
    assert abs(values.mean(dtype="float64") - definition.mean()) < 3 * error
    np.testing.assert_allclose(values.var(dtype="float64"), definition.var(), rtol=0.01)
    low, high = definition.support()
    rounding = 1e-6 * max(abs(definition.mean()), definition.std())
    assert low - rounding <= values.min() and values.max() <= high + rounding
    if np.isfinite(high):  # and all of the range is used
        assert high - values.max() < 1e-3 * (high - low) > values.min() - low
    else:
        assert values.max() > definition.mean() + 4 * definition.std()


@pytest.mark.parametrize(("make", "definition"), CASES + WITH_ARGUMENTS)
def test_keras_draws_from_the_same_distribution(make, definition):
    del definition
    keras.utils.set_random_seed(0)
    theirs = ops.convert_to_numpy(make()(SHAPE)).ravel()
    assert stats.ks_2samp(draw_one(make()).ravel(), theirs).pvalue > 0.001


def test_every_initializer_of_keras_is_known():
    """A new version may bring another one, and weights must not be left to Keras in silence."""
    classes = {
        each
        for each in vars(initializers).values()
        if isinstance(each, type) and each is not initializers.Initializer
    }
    for each in classes:
        shape = {initializers.STFT: (16, 1, 9)}.get(each, (4, 4))
        try:
            draw_one(each(), shape=shape)
        except ValueError as error:
            pytest.fail(f"{each.__name__}: {error}")
    assert len(classes) >= 14


def test_values_are_independent_of_their_neighbours():
    values = draw_one("he_normal")
    for one, other in [(values[1:], values[:-1]), (values[:, 1:], values[:, :-1])]:
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.01


@pytest.mark.parametrize(
    "shape", [(200, 60), (60, 200), (50, 50), (3, 3, 10, 20), (3, 2, 4, 100), (1, 5)]
)
@pytest.mark.parametrize("gain", [1.0, 1.7])
def test_orthogonal(shape, gain):
    matrix = draw_one(initializers.Orthogonal(gain), shape).reshape(-1, shape[-1]) / gain
    if matrix.shape[0] < matrix.shape[1]:
        matrix = matrix.T
    identity = np.eye(matrix.shape[1])
    np.testing.assert_allclose(matrix.T.astype("float64") @ matrix, identity, rtol=0, atol=2e-7)


def test_orthogonal_matrices_are_uniform():
    """LAPACK's first entry has always one sign: all matrices are as likely only without it."""
    values = np.array([draw_one("orthogonal", (4, 4), seed) for seed in range(500)])
    # Of a uniform orthogonal matrix, each entry has mean 0 and variance 1/4, and the square of
    # the trace has mean 1 (Diaconis and Shahshahani 1994).
    assert np.abs(values.mean(axis=0)).max() < 4 * (1 / 4 / 500) ** 0.5
    np.testing.assert_allclose((values**2).mean(axis=0), 1 / 4, atol=0.05)
    assert 0.8 < (np.trace(values, axis1=1, axis2=2) ** 2).mean() < 1.2
    assert 0.4 < np.mean(np.linalg.det(values) > 0) < 0.6


# Kernels whose fans are not those of a matrix.
LAYERS = {
    "dense": (lambda: layers.Dense(500), (300,)),
    "convolution": (lambda: layers.Conv2D(60, 3), (8, 8, 40)),
    "convolution in 1-D": (lambda: layers.Conv1D(150, 3), (8, 70)),
    "convolution in 3-D": (lambda: layers.Conv3D(30, 2), (4, 4, 4, 70)),
    "grouped": (lambda: layers.Conv2D(300, 5, groups=4), (8, 8, 16)),
    "transposed": (lambda: layers.Conv2DTranspose(60, 3), (8, 8, 40)),
    "depthwise": (lambda: layers.DepthwiseConv2D(5), (8, 8, 500)),
    "separable": (lambda: layers.SeparableConv2D(300, 5), (8, 8, 500)),
    "embedding": (lambda: layers.Embedding(1000, 40), ()),
    "einsum": (lambda: layers.EinsumDense("abc,cde->abde", (None, 6, 50)), (7, 90)),
    "attention": (lambda: attention(), (7, 96)),
    "rnn": (lambda: layers.SimpleRNN(150), (7, 120)),
    "lstm": (lambda: layers.LSTM(70), (7, 120)),
    "gru": (lambda: layers.Bidirectional(layers.GRU(70)), (7, 120)),
}


def attention():
    query = keras.Input((7, 96))
    return keras.Model(query, layers.MultiHeadAttention(6, 16)(query, query))


@pytest.mark.parametrize("name", LAYERS)
def test_weights_of_a_layer_are_as_large_as_keras_makes_them(name):
    make, shape = LAYERS[name]
    keras.utils.set_random_seed(0)
    with remembered_initializers():
        layer = make()
        layer(keras.Input(shape))
    theirs = layer.get_weights()
    draw_weights(layer, seed=0)
    ours = layer.get_weights()
    assert [each.shape for each in ours] == [each.shape for each in theirs]
    drawn = [np.ptp(each) > 0 and each.size > 1000 for each in theirs]
    assert any(drawn)
    for our, their, random_ in zip(ours, theirs, drawn, strict=True):
        if random_:
            assert not np.array_equal(our, their)
            np.testing.assert_allclose(our.std(), their.std(), rtol=0.03)
        else:  # zeros, ones, the LSTM's forget bias
            np.testing.assert_array_equal(our, their)


def test_what_does_not_draw_gives_its_value():
    given = {
        "zeros": np.zeros((3, 3)),
        "ones": np.ones((3, 3)),
        "identity": np.eye(3),
        initializers.Constant(0.3): np.full((3, 3), 0.3),
        lambda shape, dtype: ops.full(shape, 5.0, dtype): np.full((3, 3), 5.0),
    }
    values = draw(*({"shape": (3, 3), "initializer": each} for each in given))
    for value, expected in zip(values, given.values(), strict=True):
        np.testing.assert_array_equal(value, expected.astype("float32"))
    array = ops.convert_to_tensor(np.arange(9, dtype="float32").reshape(3, 3))
    np.testing.assert_array_equal(draw_one(array, (3, 3)), ops.convert_to_numpy(array))


def test_the_default_initializers_are_keras_s():
    kernel, counter = draw({"shape": SHAPE}, {"shape": (), "dtype": "int32", "trainable": False})
    np.testing.assert_array_equal(kernel, draw_one("glorot_uniform"))
    assert counter == 0


def test_an_initializer_that_is_given_by_position():
    class Positional(layers.Layer):
        def build(self, _=None):
            self.add_weight(SHAPE, "he_normal")
            self.built = True

    with remembered_initializers():
        layer = Positional()
        layer.build()
    draw_weights(layer, seed=0)
    np.testing.assert_array_equal(layer.get_weights()[0], draw_one("he_normal"))


# CRC-32 of the bytes of a (20, 30) weight, in the first and in the second place.
BITS = {
    "glorot_uniform": ("85515c70", "d79210e5"),
    "glorot_normal": ("9cc6c90f", "5aaf5abd"),
    "he_uniform": ("5df08512", "374bc226"),
    "he_normal": ("b0eecad3", "84e3cb4b"),
    "lecun_uniform": ("b5df90b8", "22c5de8a"),
    "lecun_normal": ("5978826e", "30916832"),
    "random_uniform": ("cbfac7d5", "bc95c757"),
    "random_normal": ("00e8d7a9", "01838095"),
    "truncated_normal": ("f6857efb", "31c09194"),
    "orthogonal": ("61384a96", "6060b4a3"),
}


@pytest.mark.parametrize("name", [*DEFINITIONS, "orthogonal"])
def test_every_backend_has_these_bits(name):
    values = draw(*[{"shape": (20, 30), "initializer": name}] * 2)
    bits = tuple(f"{zlib.crc32(np.ascontiguousarray(value)):08x}" for value in values)
    assert bits == BITS[name]


def test_seed_position_initializer_and_shape_decide():
    values = draw_one("he_normal")
    np.testing.assert_array_equal(draw_one("he_normal"), values)
    np.testing.assert_array_equal(draw_one(initializers.HeNormal(seed=3)), values)
    for others in [
        draw_one("he_normal", seed=1),
        draw(
            {"shape": SHAPE, "initializer": "zeros"}, {"shape": SHAPE, "initializer": "he_normal"}
        )[1],
        draw_one("he_uniform"),
    ]:
        assert abs(np.corrcoef(values.ravel(), others.ravel())[0, 1]) < 0.01


def test_neither_names_nor_what_was_built_before_decide():
    def build(name):
        return keras.Sequential([keras.Input((8,)), layers.Dense(4), layers.Dense(2, name=name)])

    first = seeded(lambda: build("one"), 5).get_weights()
    random.random()
    keras.random.normal((3,))
    second = seeded(lambda: build("another"), 5).get_weights()
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_drawing_again_forgets_what_was_trained():
    with remembered_initializers():
        model = keras.Sequential(
            [keras.Input((7, 4)), layers.LSTM(3), layers.BatchNormalization(), layers.Dense(2)]
        )
    draw_weights(model, seed=0)
    first = model.get_weights()
    model.set_weights([value + 1 for value in first])
    draw_weights(model, seed=0)
    for value, expected in zip(model.get_weights(), first, strict=True):
        np.testing.assert_array_equal(value, expected)


def test_weights_of_several_models_differ_and_shared_ones_count_once():
    with remembered_initializers():
        shared = layers.Dense(5)
        models = [keras.Sequential([keras.Input((5,)), shared, layers.Dense(5)]) for _ in range(2)]
    draw_weights(*models, seed=0)
    (kernel, _, first, _), (again, _, second, _) = (model.get_weights() for model in models)
    np.testing.assert_array_equal(kernel, again)
    assert not np.array_equal(first, second)
    models[1].set_weights([np.ones_like(value) for value in models[1].get_weights()])
    draw_weights(*models, seed=0)
    np.testing.assert_array_equal(models[1].get_weights()[2], second)
    draw_weights(models[0], seed=0)
    for value, expected in zip(models[0].get_weights(), (kernel, None, first, None), strict=True):
        if expected is not None:
            np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_a_weight_of_another_dtype_is_the_rounded_one(dtype):
    if dtype == "float64" and keras.backend.backend() == "jax":
        return  # which makes it float32
    (value,) = draw({"shape": SHAPE, "initializer": "he_normal", "dtype": dtype})
    expected = ops.convert_to_numpy(ops.cast(draw_one("he_normal"), dtype))
    np.testing.assert_array_equal(value.astype("float64"), expected.astype("float64"))


def test_a_scalar():
    assert abs(draw_one("random_normal", ())) < 0.25


def test_layers_take_their_own_seed_from_it_and_python_s_random_stays_as_it_was():
    random.seed(7)
    expected = random.random()
    random.seed(7)
    first, second, third = (
        seeded(lambda: keras.Sequential([keras.Input((4,)), layers.Dropout(0.5)]), seed)
        for seed in (0, 0, 1)
    )
    assert random.random() == expected
    states = [
        ops.convert_to_numpy(each.layers[0].seed_generator.state)[0]
        for each in (first, second, third)
    ]
    assert states[0] == states[1] != states[2]


def test_build_takes_a_seed():
    first, again, other = (zoo.build("mnist_cnn", seed=seed) for seed in (0, 0, 1))
    for one, two in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first.get_weights()[0], other.get_weights()[0])
    images = np.ones((2, 28, 28, 1), "float32")
    logits = [ops.convert_to_numpy(each(images, training=True)) for each in (first, again)]
    np.testing.assert_array_equal(*logits)


def test_keras_draws_nothing_that_numpy_draws_again(monkeypatch):
    """JAX would compile a program for each shape: seconds for a deep network."""

    def draw(*_, **options):
        raise AssertionError("Keras draws")

    monkeypatch.setattr(initializers.VarianceScaling, "__call__", draw)
    model = zoo.build("mnist_cnn", seed=0)
    assert all(np.ptp(kernel) > 0 for kernel in model.get_weights() if kernel.ndim > 1)


def test_keras_is_left_as_it_was():
    before = layers.Layer.add_weight
    with remembered_initializers(), remembered_initializers():
        assert layers.Layer.add_weight is not before
    assert layers.Layer.add_weight is before
    with pytest.raises(ZeroDivisionError), remembered_initializers():
        1 / 0  # noqa: B018
    assert layers.Layer.add_weight is before


class Own(initializers.Initializer):
    def __call__(self, shape, dtype=None):
        return keras.random.normal(shape, dtype=dtype)


def test_an_initializer_that_numpy_cannot_draw_is_refused_and_nothing_changes():
    with remembered_initializers():
        layer = Weights({"shape": SHAPE}, {"shape": SHAPE, "initializer": Own()}, name="mine")
        layer.build()
    before = layer.get_weights()
    with pytest.raises(ValueError, match="weight mine/weight1 has the initializer Own, which"):
        draw_weights(layer, seed=0)
    for value, expected in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, expected)


def test_a_weight_that_was_made_elsewhere_is_refused():
    layer = Weights({"shape": SHAPE}, name="mine")
    layer.build()
    with pytest.raises(ValueError, match="initializer of the weight mine/weight0 is not known"):
        draw_weights(layer, seed=0)


def test_a_model_without_weights_is_refused():
    with remembered_initializers():
        model = keras.Sequential([layers.Dense(2)], name="unbuilt")
    with pytest.raises(ValueError, match="unbuilt has no weights yet: build it first"):
        draw_weights(model, seed=0)


@pytest.mark.parametrize("seed", [-1, 1.5, "1", None])
def test_a_seed_that_is_none_is_refused(seed):
    with pytest.raises(ValueError, match=f"seed must be an integer, 0 or more, got {seed!r}"):
        draw_weights(seed=seed)


def test_what_is_made_without_values_is_not_filled_later(monkeypatch):
    filled, before = [], keras.Variable._deferred_initialize

    def spied(variable):
        filled.append(variable.path)
        before(variable)

    monkeypatch.setattr(keras.Variable, "_deferred_initialize", spied)
    with without_values():
        model = zoo.build("lenet5")
    assert model.count_params() == 60_850
    with keras.StatelessScope():  # when it closes, Keras fills what it has listed
        layers.Dense(2, name="other").build((None, 3))
    assert filled and all(path.startswith("other/") for path in filled)
