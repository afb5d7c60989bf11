"""gradient_step against Keras's train_on_batch, closed forms, and what it must refuse."""

import functools
import shutil

import keras
import numpy as np
import pytest
from keras import layers, ops

from recipes.training import gradient_step as gradient_step_module
from recipes.training.gradient_step import gradient_step, gradient_steps
from zoo.convolutional.mnist_cnn import mnist_cnn

STEPS = 5


def small_model(seed=0, name="model"):
    """Stock layers with everything that carries state: statistics, dropout, regularizers."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((8, 8, 2))
    x = layers.Conv2D(4, 3, kernel_regularizer=keras.regularizers.L2(0.01))(image)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(activity_regularizer=keras.regularizers.L1(0.01))(x)
    x = layers.Dropout(0.3, seed=3)(layers.Flatten()(x))
    return keras.Model(image, layers.Dense(3)(x), name=name)


def line(slope, name):
    """y = slope * x, one weight."""
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1, use_bias=False)], name=name)
    model.set_weights([np.full((1, 1), slope, "float32")])
    return model


def slope(model):
    return float(ops.convert_to_numpy(model.trainable_variables[0]).item())


def image_batches():
    generator = np.random.default_rng(0)
    images = generator.normal(size=(STEPS, 16, 8, 8, 2)).astype("float32")
    return zip(images, generator.integers(0, 3, (STEPS, 16)), strict=True)


def assert_same_variables(model, expected_model):
    """To the bit: weights, moving statistics and the dropout layer's seed state."""
    for variable, expected in zip(model.variables, expected_model.variables, strict=True):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(variable), ops.convert_to_numpy(expected), err_msg=variable.path
        )


OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, 20)),
    "adamw": lambda: keras.optimizers.AdamW(0.01, clipnorm=1.0, use_ema=True),
    "scaled": lambda: keras.optimizers.Adam(0.01, loss_scale_factor=1024.0),
    # Scales of 2**127 overflow: some steps are skipped and the scale is halved.
    "dynamically scaled": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.1), initial_scale=2.0**127
    ),
    "accumulating": lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=2),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_equals_train_on_batch_exactly(optimizer):
    expected_model, model = small_model(), small_model()
    model.set_weights(expected_model.get_weights())
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    expected_model.compile(OPTIMIZERS[optimizer](), cross_entropy)

    def compute_loss(images, labels):
        logits = model(images, training=True)
        return cross_entropy(labels, logits) + sum(model.losses)

    step = gradient_step(compute_loss, model, OPTIMIZERS[optimizer]())
    for images, labels in image_batches():
        expected_loss = expected_model.train_on_batch(images, labels)
        loss = ops.convert_to_numpy(step(images, labels))
        np.testing.assert_allclose(loss, expected_loss, rtol=1e-6)
    assert_same_variables(model, expected_model)


@pytest.fixture
def precision(request):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"], indirect=True)
def test_mixed_precision_equals_train_on_batch_exactly(precision):
    def make_model():
        image = keras.Input((8, 8, 2))
        x = layers.BatchNormalization()(layers.Conv2D(4, 3)(image))
        x = layers.Dropout(0.3, seed=3)(layers.Flatten()(layers.ReLU()(x)))
        return keras.Model(image, layers.Dense(3)(x))

    expected_model, model = make_model(), make_model()
    model.set_weights(expected_model.get_weights())
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def tiny_loss(labels, logits):
        return 1e-8 * cross_entropy(labels, logits)  # no gradient of it is a float16 as it is

    expected_model.compile(keras.optimizers.SGD(1e6), tiny_loss)
    step = gradient_step(
        lambda images, labels: tiny_loss(labels, model(images, training=True)),
        model,
        keras.optimizers.SGD(1e6),
    )
    before = model.get_weights()
    for images, labels in image_batches():
        expected_loss = expected_model.train_on_batch(images, labels)
        loss = ops.convert_to_numpy(step(images, labels))
        np.testing.assert_allclose(loss, expected_loss, rtol=1e-6)
    assert_same_variables(model, expected_model)
    *_, kernel, bias = model.get_weights()
    assert kernel.dtype == np.float32
    assert np.all(np.abs(bias - before[-1]) > 1e-5)


@pytest.mark.parametrize("precision", ["mixed_float16"], indirect=True)
def test_a_step_whose_scaled_gradients_overflow_is_skipped(precision):
    model = line(2.0, "line")
    step = gradient_step(
        lambda x: 1e5 * ops.mean(ops.cast(model(x), "float32")), model, keras.optimizers.SGD(1e-6)
    )
    x = np.ones((4, 1), "float32")
    # The first scales, 2**15 downwards, give gradients beyond float16's 65504. None of those
    # moves the weight or makes it NaN, and once the scale has come down it moves.
    slopes = []
    for _ in range(25):
        step(x)
        slopes.append(slope(model))
    assert slopes[0] == 2.0
    assert np.all(np.isfinite(slopes))
    assert slopes[-1] < 2.0


@pytest.mark.parametrize("precision", ["mixed_float16"], indirect=True)
def test_a_loss_scale_of_the_recipe_is_left_as_it_is(precision):
    model = line(1.0, "line")
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5), initial_scale=4.0)
    gradient_step(lambda x: ops.mean(model(x)), model, optimizer)(np.ones((2, 1), "float32"))
    assert slope(model) == 0.5
    assert float(optimizer.dynamic_scale) == 4.0


def test_last_smaller_batch_equals_train_on_batch():
    expected_model, model = small_model(), small_model()
    model.set_weights(expected_model.get_weights())
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    expected_model.compile(keras.optimizers.SGD(0.1), cross_entropy)
    step = gradient_step(
        lambda images, labels: (
            cross_entropy(labels, model(images, training=True)) + sum(model.losses)
        ),
        model,
        keras.optimizers.SGD(0.1),
    )
    for (images, labels), size in zip(image_batches(), (16, 5, 16, 5, 1), strict=True):
        expected_model.train_on_batch(images[:size], labels[:size])
        step(images[:size], labels[:size])
    for weight, expected in zip(model.get_weights(), expected_model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_returns_the_loss_before_the_update_and_auxiliary_values():
    model = line(2.0, "line")

    def compute_loss(x, y):
        predicted = model(x, training=True)
        loss = ops.mean(ops.square(predicted - y))
        return loss, {"largest": ops.max(predicted), "pair": (loss, [2 * loss])}

    step = gradient_step(compute_loss, model, keras.optimizers.SGD(0.1))
    x = np.array([[1.0], [3.0]], "float32")
    loss, auxiliary = step(x, 0 * x)
    # loss = slope^2 * mean(x^2) = 4 * 5; its derivative is 2 * slope * 5.
    assert float(loss) == pytest.approx(20.0)
    assert float(auxiliary["largest"]) == pytest.approx(6.0)
    assert float(auxiliary["pair"][0]) == pytest.approx(20.0)
    assert float(auxiliary["pair"][1][0]) == pytest.approx(40.0)
    assert slope(model) == pytest.approx(2.0 - 0.1 * 20.0, abs=1e-6)


def test_moving_statistics_follow_the_batches():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), layers.BatchNormalization(momentum=0.9)])
    step = gradient_step(
        lambda x: ops.mean(model(x, training=True) ** 2), model, keras.optimizers.SGD(0.1)
    )
    mean, variance = np.zeros(2), np.ones(2)
    for seed in range(3):
        x = np.random.default_rng(seed).normal(3, 2, (32, 2)).astype("float32")
        step(x)
        mean = 0.9 * mean + 0.1 * x.mean(axis=0)
        variance = 0.9 * variance + 0.1 * x.var(axis=0)
    moving_mean, moving_variance = model.non_trainable_variables
    np.testing.assert_allclose(ops.convert_to_numpy(moving_mean), mean, rtol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(moving_variance), variance, rtol=1e-5)


@pytest.mark.parametrize("attempt", range(10))
def test_trains_several_models_with_one_optimizer(attempt):
    # Several attempts: TensorFlow may order reads and updates by chance, where the step lets it.
    first, second = line(2.0, "first"), line(3.0, "second")
    step = gradient_step(
        lambda x: ops.mean(second(first(x, training=True), training=True)),
        [first, second],
        keras.optimizers.SGD(0.1),
    )
    step(np.ones((4, 1), "float32"))
    assert slope(first) == pytest.approx(2.0 - 0.1 * 3.0)
    assert slope(second) == pytest.approx(3.0 - 0.1 * 2.0)


def test_a_read_model_is_read_afresh_and_not_trained():
    trained, read = line(1.0, "trained"), line(1.0, "read")
    step = gradient_step(
        lambda x: ops.mean(trained(x, training=True) * read(x)),
        trained,
        keras.optimizers.SGD(1.0),
        reads=[read],
    )
    x = np.ones((4, 1), "float32")
    for value in (1.0, 5.0, -2.0):
        read.set_weights([np.full((1, 1), value, "float32")])
        before = slope(trained)
        step(x)
        assert slope(read) == value
        assert slope(trained) - before == pytest.approx(-value)


def test_two_steps_that_read_each_other_see_each_others_updates():
    first, second = line(1.0, "first"), line(2.0, "second")

    def product(x):
        return ops.mean(first(x, training=True) * second(x, training=True))

    first_step = gradient_step(product, first, keras.optimizers.SGD(0.5), reads=[second])
    second_step = gradient_step(product, second, keras.optimizers.SGD(0.5), reads=[first])
    x = np.ones((4, 1), "float32")
    expected_first, expected_second = 1.0, 2.0
    for _ in range(3):
        first_step(x)
        expected_first -= 0.5 * expected_second
        assert slope(first) == pytest.approx(expected_first)
        second_step(x)
        expected_second -= 0.5 * expected_first
        assert slope(second) == pytest.approx(expected_second)


def test_state_of_a_read_model_moves():
    trained = line(1.0, "trained")
    read = keras.Sequential([keras.Input((1,)), layers.BatchNormalization(momentum=0.5)])
    step = gradient_step(
        lambda x: ops.mean(trained(x, training=True)) + ops.mean(read(x, training=True)),
        trained,
        keras.optimizers.SGD(0.1),
        reads=[read],
    )
    step(np.full((4, 1), 8.0, "float32"))
    np.testing.assert_allclose(ops.convert_to_numpy(read.layers[-1].moving_mean), [4.0])


def test_reads_takes_seed_generators_metrics_and_variables():
    model = line(0.0, "line")
    seed_generator = keras.random.SeedGenerator(4)
    metric = keras.metrics.Mean()
    scale = keras.Variable(2.0, trainable=False)

    def compute_loss(x):
        noise = keras.random.normal((), seed=seed_generator)
        metric.update_state(noise)
        return ops.mean(model(x, training=True)) * scale, noise

    step = gradient_step(
        compute_loss, model, keras.optimizers.SGD(1.0), reads=[seed_generator, metric, scale]
    )
    x = np.ones((1, 1), "float32")
    noises = [float(step(x)[1]) for _ in range(3)]
    assert len(set(noises)) == 3  # new noise at every step
    np.testing.assert_allclose(float(metric.result()), np.mean(noises), rtol=1e-5)
    assert slope(model) == pytest.approx(-3 * 2.0)
    scale.assign(10.0)
    step(x)
    assert slope(model) == pytest.approx(-3 * 2.0 - 10.0)


def test_what_is_assigned_is_read_later_in_the_same_step():
    model, counter = line(1.0, "line"), keras.Variable(0.0, trainable=False)

    def compute_loss(x):
        counter.assign_add(1.0)
        counter.assign_add(1.0)
        return ops.mean(model(x, training=True)) * counter, ops.copy(counter)

    step = gradient_step(compute_loss, model, keras.optimizers.SGD(1.0), reads=[counter])
    seen = [float(step(np.ones((1, 1), "float32"))[1]) for _ in range(2)]
    assert seen == [2.0, 4.0]
    assert float(ops.convert_to_numpy(counter)) == 4.0
    assert slope(model) == pytest.approx(1.0 - 2.0 - 4.0)


def test_an_undeclared_read_raises_and_names_the_variable():
    trained, other = line(1.0, "trained"), line(1.0, "other")
    step = gradient_step(
        lambda x: ops.mean(trained(x) * other(x)), trained, keras.optimizers.SGD(0.1)
    )
    with pytest.raises(ValueError, match=r"kernel'.*neither.*trains nor declares.*reads="):
        step(np.ones((4, 1), "float32"))


def test_an_undeclared_assignment_raises():
    model, counter = line(1.0, "line"), keras.Variable(0.0, trainable=False, name="counter")

    def compute_loss(x):
        counter.assign(ops.ones(()))
        return ops.mean(model(x))

    step = gradient_step(compute_loss, model, keras.optimizers.SGD(0.1))
    with pytest.raises(ValueError, match="counter"):
        step(np.ones((4, 1), "float32"))


def test_assigning_to_a_trained_weight_raises():
    model = line(1.0, "line")

    def compute_loss(x):
        model.trainable_variables[0].assign(ops.zeros((1, 1)))
        return ops.mean(model(x))

    step = gradient_step(compute_loss, model, keras.optimizers.SGD(0.1))
    with pytest.raises(ValueError, match="assigns to the weight"):
        step(np.ones((4, 1), "float32"))


def test_a_failed_step_changes_nothing():
    trained, other = line(1.0, "trained"), line(1.0, "other")
    step = gradient_step(
        lambda x: ops.mean(trained(x) * other(x)), trained, keras.optimizers.SGD(0.1)
    )
    with pytest.raises(ValueError):
        step(np.ones((4, 1), "float32"))
    assert slope(trained) == 1.0
    assert float(ops.convert_to_numpy(trained(np.ones((1, 1), "float32"))).item()) == 1.0


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_a_weight_that_the_loss_does_not_use_stays():
    models = [line(2.0, "used"), line(3.0, "unused")]
    step = gradient_step(lambda x: ops.mean(models[0](x)), models, keras.optimizers.SGD(0.25))
    for _ in range(4):
        step(np.ones((2, 1), "float32"))
    assert [slope(model) for model in models] == [1.0, 3.0]


@pytest.mark.parametrize("optimizer", [keras.optimizers.Adam, keras.optimizers.RMSprop])
def test_an_embedding_trains_like_the_matrix_that_it_is(optimizer):
    """Looking rows up is a product with one-hot vectors, however often a token comes."""
    generator = np.random.default_rng(0)
    table = generator.normal(size=(5, 3)).astype("float32")
    tokens = generator.integers(0, 5, (STEPS, 8)).astype("int32")
    targets = generator.normal(size=(8, 3)).astype("float32")

    embedding = keras.Sequential([keras.Input((), dtype="int32"), layers.Embedding(5, 3)])
    matrix = keras.Sequential([keras.Input((5,)), layers.Dense(3, use_bias=False)])
    for model, encode in ((embedding, lambda x: x), (matrix, lambda x: np.eye(5)[x])):
        model.set_weights([table])
        step = gradient_step(
            lambda x, model=model: ops.mean(ops.subtract(model(x), targets) ** 2),
            model,
            optimizer(0.1),
        )
        for batch in tokens:
            step(encode(batch))
    np.testing.assert_allclose(*[m.get_weights()[0] for m in (embedding, matrix)], atol=1e-5)


def test_the_recipes_network_equals_train_on_batch_exactly():
    def make_model():
        keras.utils.set_random_seed(0)
        return mnist_cnn(dropout_rate=0.3, batch_norm_momentum=0.9)

    expected_model, model = make_model(), make_model()
    model.set_weights(expected_model.get_weights())
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    expected_model.compile(OPTIMIZERS["adam"](), cross_entropy)
    step = gradient_step(
        lambda images, labels: cross_entropy(labels, model(images, training=True)),
        model,
        OPTIMIZERS["adam"](),
    )
    generator = np.random.default_rng(0)
    for size in (8, 8, 8, 5, 8, 5, 5):
        images = generator.normal(size=(size, 28, 28, 1)).astype("float32")
        labels = generator.integers(0, 10, size)
        expected_loss = expected_model.train_on_batch(images, labels)
        loss = ops.convert_to_numpy(step(images, labels))
        np.testing.assert_allclose(loss, expected_loss, rtol=1e-6)
    assert_same_variables(model, expected_model)


def test_frozen_layers_stay():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), layers.Dense(3), layers.Dense(1)])
    model.layers[0].trainable = False
    before = model.get_weights()
    step = gradient_step(lambda x: ops.mean(model(x)), model, keras.optimizers.SGD(1.0))
    step(np.ones((4, 2), "float32"))
    after = model.get_weights()
    np.testing.assert_array_equal(before[0], after[0])
    np.testing.assert_array_equal(before[1], after[1])
    assert np.all(before[2] != after[2])


def test_learning_rate_can_be_changed_between_steps():
    model = line(0.0, "line")
    optimizer = keras.optimizers.SGD(1.0)
    step = gradient_step(lambda x: ops.mean(model(x)), model, optimizer)
    x = np.ones((2, 1), "float32")
    step(x)
    optimizer.learning_rate = 0.25
    step(x)
    assert slope(model) == pytest.approx(-1.25)


def test_a_loss_that_is_no_scalar_is_refused():
    model = line(1.0, "line")
    step = gradient_step(lambda x: model(x)[:, 0], model, keras.optimizers.SGD(0.1))
    with pytest.raises(ValueError, match=r"scalar loss, got shape \(4,\)"):
        step(np.ones((4, 1), "float32"))


def test_an_unbuilt_model_is_refused():
    model = keras.Sequential([layers.Dense(1)], name="unbuilt")
    with pytest.raises(ValueError, match="'unbuilt' has no weights yet"):
        gradient_step(lambda x: ops.mean(model(x)), model, keras.optimizers.SGD(0.1))


def test_a_model_without_trainable_weights_is_refused():
    model = line(1.0, "frozen")
    model.trainable = False
    with pytest.raises(ValueError, match="nothing to train: 'frozen'"):
        gradient_step(lambda x: ops.mean(model(x)), model, keras.optimizers.SGD(0.1))


def test_an_optimizer_of_another_model_is_refused():
    first, second, optimizer = line(1.0, "first"), line(1.0, "second"), keras.optimizers.SGD(0.1)
    gradient_step(lambda x: ops.mean(first(x)), first, optimizer)
    with pytest.raises(ValueError, match="optimizer"):
        gradient_step(lambda x: ops.mean(second(x)), second, optimizer)(np.ones((1, 1), "float32"))


def test_reads_refuses_the_steps_own_optimizer():
    model, optimizer = line(1.0, "line"), keras.optimizers.SGD(0.1)
    with pytest.raises(ValueError, match="reads names the optimizer"):
        gradient_step(lambda x: ops.mean(model(x)), model, optimizer, reads=[optimizer])


def test_reads_refuses_what_holds_no_variables():
    model = line(1.0, "line")
    with pytest.raises(ValueError, match="reads takes models"):
        gradient_step(
            lambda x: ops.mean(model(x)), model, keras.optimizers.SGD(0.1), reads=["generator"]
        )


def loss_and_logits(model, images, labels):
    logits = model(images, training=True)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits)
    return loss + sum(model.losses), {"logits": logits}


def assert_stacks_equal_single_steps(optimizer, compare):
    model, expected_model = small_model(), small_model()
    model.set_weights(expected_model.get_weights())
    steps, step = (
        make_step(functools.partial(loss_and_logits, each), each, OPTIMIZERS[optimizer]())
        for make_step, each in ((gradient_steps, model), (gradient_step, expected_model))
    )
    batches = list(image_batches())
    for start, end in ((0, 2), (2, 4), (4, 5), (0, 1), (1, 5)):
        images, labels = map(np.stack, zip(*batches[start:end], strict=True))
        losses, auxiliary = steps(images, labels)
        expected = [step(*batch) for batch in batches[start:end]]
        compare(losses, [ops.convert_to_numpy(loss) for loss, _ in expected])
        compare(
            auxiliary["logits"], [ops.convert_to_numpy(values["logits"]) for _, values in expected]
        )
    for variable, other in zip(model.variables, expected_model.variables, strict=True):
        compare(variable, ops.convert_to_numpy(other))


def test_stacked_steps_equal_single_ones_exactly():
    def compare(found, expected):
        np.testing.assert_array_equal(ops.convert_to_numpy(found), expected)

    assert_stacks_equal_single_steps("adam", compare)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="JAX's choice")
def test_stacked_steps_are_one_program_on_a_gpu(monkeypatch):
    import jax

    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")

    def compare(found, expected):
        # Another program, rounded otherwise. Adam would enlarge that: the bias before batch
        # normalization has no gradient but for rounding, and Adam makes whole steps of it.
        np.testing.assert_allclose(ops.convert_to_numpy(found), expected, rtol=1e-5, atol=1e-6)

    with monkeypatch.context() as no_loop:
        no_loop.setattr(gradient_step_module, "_one_by_one", None)
        assert_stacks_equal_single_steps("sgd", compare)


def test_stacked_steps_refuse_what_single_ones_refuse():
    model = line(1.0, "line")
    steps = gradient_steps(lambda x: model(x), model, keras.optimizers.SGD(0.1))
    with pytest.raises(ValueError, match="must return a scalar loss"):
        steps(np.ones((2, 3, 1), "float32"))


def test_stacks_of_different_numbers_of_batches_are_refused():
    model = line(1.0, "line")
    steps = gradient_steps(lambda x, y: ops.mean(model(x) + y), model, keras.optimizers.SGD(0.1))
    with pytest.raises(ValueError, match=r"one number of batches, got arrays of \[2, 3\]"):
        steps(np.ones((2, 3, 1), "float32"), np.ones((3, 3, 1), "float32"))


def test_a_compiled_step_agrees_to_a_millionth():
    if keras.backend.backend() == "torch" and shutil.which("g++") is None:
        pytest.skip("PyTorch compiles with g++")
    model, expected_model = (mnist_cnn(dropout_rate=0.3) for _ in range(2))
    model.jit_compile = True
    jitted, step = (
        gradient_step(functools.partial(loss_and_logits, each), each, OPTIMIZERS["adam"]())
        for each in (model, expected_model)
    )
    generator = np.random.default_rng(0)
    for _ in range(STEPS):
        images = generator.normal(size=(8, 28, 28, 1)).astype("float32")
        labels = generator.integers(0, 10, 8)
        for variable, other in zip(model.variables, expected_model.variables, strict=True):
            variable.assign(ops.convert_to_numpy(other))
        loss, _ = jitted(images, labels)
        expected, _ = step(images, labels)
        np.testing.assert_allclose(
            *[float(ops.convert_to_numpy(each)) for each in (loss, expected)], rtol=1e-6
        )


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's own graphs")
def test_the_graph_grows_with_the_weights_and_not_with_their_square():
    import tensorflow as tf

    def edges(depth):
        x = pixels = keras.Input((4,))
        for _ in range(depth):
            x = layers.Dense(4)(x)
        model = keras.Model(pixels, x)
        step = gradient_step(lambda x: ops.mean(model(x)), model, keras.optimizers.Adam())
        step(np.zeros((2, 4), "float32"))
        batch = tf.TensorSpec((2, 4))
        graph = tf.function(step, autograph=False).get_concrete_function(batch).graph
        functions = graph.as_graph_def().library.function
        return sum(len(node.input) for function in functions for node in function.node_def)

    assert edges(20) < 2.2 * edges(10)
