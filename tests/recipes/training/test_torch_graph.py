"""What is recorded of PyTorch's operations: the same bits, fewer operations, or nothing."""

import shutil

import keras
import numpy as np
import pytest
from keras import layers, ops

from custom_layers import GELU, BatchNormalization, Dropout, LeakyReLU
from recipes.training.gradient_step import gradient_step

if keras.backend.backend() != "torch":
    pytest.skip("PyTorch's own", allow_module_level=True)

import torch

from recipes.training import torch_graph

aten = torch.ops.aten


@pytest.fixture
def modules(monkeypatch):
    """The recorded modules, in their order."""
    found = []
    make_fx = torch_graph.make_fx

    def spy(*args, **options):
        def trace(*tensors):
            found.append(make_fx(*args, **options)(*tensors))
            return found[-1]

        return trace

    monkeypatch.setattr(torch_graph, "make_fx", spy)
    return found


def count(module, *targets):
    return sum(node.target in targets for node in module.graph.nodes)


def random(*shape, channels_last=False):
    tensor = torch.from_numpy(np.random.default_rng(0).normal(size=shape).astype("float32"))
    return tensor.to(memory_format=torch.channels_last) if channels_last else tensor


def gradients_of(function):
    """The function that returns what ``function`` does, and its gradients."""

    def differentiated(*tensors):
        with torch.enable_grad():
            tensors = [tensor.detach().requires_grad_() for tensor in tensors]
            result = function(*tensors)
            weights = torch.arange(result.numel(), dtype=result.dtype).reshape(result.shape)
            return result.detach(), torch.autograd.grad((result * weights).sum(), tensors)

    return differentiated


def assert_same(found, expected):
    for one, other in zip(keras.tree.flatten(found), keras.tree.flatten(expected), strict=True):
        assert torch.equal(one, other)


def recorded(function, *tensors):
    """The recorded function, which must give the same bits as ``function``."""
    program = torch_graph.record(function, tensors)
    for _ in range(2):
        assert_same(program(*tensors), function(*tensors))
    return program


def convolution_to_and_fro(x, kernel):
    """As Keras does it: (B, H, W, C) in and out, (B, C, H, W) between."""
    x = x.permute(0, 3, 1, 2).contiguous().contiguous(memory_format=torch.channels_last)
    return torch.conv2d(x, kernel, padding=1).permute(0, 2, 3, 1)


def test_a_copy_of_a_copy_is_one_copy(modules):
    tensors = random(2, 6, 6, 3), random(4, 3, 3, 3)
    recorded(gradients_of(convolution_to_and_fro), *tensors)
    # PyTorch sees two copies of a contiguous tensor; the tensor itself is already right.
    assert count(modules[0], aten.clone.default) == 0
    assert count(modules[0], aten.convolution.default, aten.convolution_backward.default) == 2


def pool_to_and_fro(x):
    x = x.permute(0, 3, 1, 2).contiguous()
    return torch.max_pool2d(x, 2).permute(0, 2, 3, 1)


def test_pooling_keeps_the_memory_of_what_it_pools(modules):
    recorded(gradients_of(pool_to_and_fro), random(2, 6, 6, 3))
    (pool,) = modules[0].graph.find_nodes(
        op="call_function", target=aten.max_pool2d_with_indices.default
    )
    assert pool.args[0].target is aten.permute.default  # no copy between


def test_pooling_of_a_convolution_and_sums_behind_it():
    def function(x, kernel, scale):
        y = pool_to_and_fro(convolution_to_and_fro(x, kernel))
        centered = y - y.mean(dim=(0, 1, 2))
        return convolution_to_and_fro(centered * scale, kernel.transpose(0, 1)) / centered.std()

    tensors = random(5, 12, 12, 3), random(7, 3, 3, 3), random(7)
    recorded(gradients_of(function), *tensors)


def test_pooling_whose_gradient_is_summed_up():
    """The order of a sum is that of the memory, so the gradient has to come back to it."""

    def function(x, bias):
        return pool_to_and_fro(x + bias)

    recorded(gradients_of(function), random(16, 30, 30, 33), random(33))


def test_overlapping_pooling_windows():
    def function(x):
        x = x.permute(0, 3, 1, 2).contiguous()
        return torch.max_pool2d(x, 3, stride=2, padding=1).permute(0, 2, 3, 1).sum(dim=2)

    recorded(gradients_of(function), random(2, 9, 7, 3))


def test_pooling_of_equal_values_chooses_the_same_of_them():
    whole_numbers = random(3, 8, 8, 5).round()
    recorded(gradients_of(pool_to_and_fro), whole_numbers)


def test_a_mean_is_divided_before_it_is_expanded(modules):
    recorded(gradients_of(lambda x, y: (x * y).mean() + (x + y).mean(0).sum()), *[random(6, 5)] * 2)
    for division in modules[0].graph.find_nodes(op="call_function", target=aten.div.Scalar):
        assert division.meta["val"].numel() < 30


def test_a_mean_whose_gradient_is_expanded_once_more(modules):
    def function(x, y):
        return (x + y).mean(0) * y  # (3,), of which y is (2, 3)

    recorded(gradients_of(function), random(2, 3), random(2, 3))


def test_a_square_is_derived_with_one_product(modules):
    recorded(gradients_of(lambda x: x * x), random(4, 5))
    # x * x, times the weights of the sum, and both of them again; not each factor's for itself.
    assert count(modules[0], aten.mul.Tensor) == 4


def test_products_of_other_tensors_are_not_merged():
    recorded(gradients_of(lambda x, y: x * y + y * x + x * x), random(4, 5), 1 + random(4, 5))


def test_products_with_equal_numbers_of_other_types_are_not_merged():
    program = recorded(lambda x: (x * 1, x * 1.0, x * True), torch.arange(3))
    assert [each.dtype for each in program(torch.arange(3))] == [
        torch.int64,
        torch.float32,
        torch.int64,
    ]


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_gradients_of_slices_become_one_stack(modules, axis):
    def function(x):
        state = torch.zeros_like(x.select(axis, 0))
        for time in range(x.shape[axis]):
            state = torch.tanh(state + x.select(axis, time))
        return state

    recorded(gradients_of(function), random(5, 6, 7))
    assert count(modules[0], aten.stack.default) == 1
    assert count(modules[0], aten.select_backward.default) == 0


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x[:, 0] * x[:, 1],  # one slice is missing
        lambda x: x[:, 0] * x[:, 1] * x[:, 2] * x[:, 0],  # one comes twice
        lambda x: x[:, 0] * x[:, 1] * x[:, 0],  # as many as there are, one of them twice
        lambda x: x[:, 0] * x[:, 1] * x[:, 2] + x[0].sum(),  # slices of two axes
    ],
)
def test_gradients_of_other_slices_are_summed(function):
    recorded(gradients_of(function), random(4, 3))


def test_numbers_that_depend_on_nothing_are_computed_once(modules):
    def function(x):
        return x / torch.prod(torch.tensor([2, 3])).to(torch.float32)

    recorded(function, random(4))
    assert count(modules[0], aten.prod.default, aten._to_copy.default) == 0


def test_large_constants_are_not_kept(modules):
    recorded(lambda x: x + torch.arange(1000), random(1000))
    assert count(modules[0], aten.arange.default) == 1


def test_a_constant_that_is_changed_in_place_begins_anew():
    program = torch_graph.record(lambda x: torch.zeros(2).add_(x), [torch.ones(2)])
    for _ in range(2):
        assert program(torch.ones(2)).tolist() == [1.0, 1.0]


def test_drawn_numbers_are_drawn_each_time():
    program = torch_graph.record(lambda x: x + torch.rand(()), [torch.zeros(3)])
    assert not torch.equal(program(torch.zeros(3)), program(torch.zeros(3)))


def test_arguments_are_changed_in_place():
    program = torch_graph.record(lambda x, y: x.add_(2 * y), [torch.ones(3), torch.ones(3)])
    x = torch.ones(3)
    program(x, torch.ones(3))
    assert x.tolist() == [3.0, 3.0, 3.0]


def test_a_copy_of_an_argument_is_no_longer_the_argument():
    program = torch_graph.record(lambda x: x.clone(), [torch.ones(3)])
    x = torch.ones(3)
    assert program(x).data_ptr() != x.data_ptr()


def test_nests_of_arguments_and_results():
    def function(first, second):
        return {"sum": first["x"] + second[0]}, [None, second[1] * 2]

    arguments = {"x": torch.ones(2)}, (torch.ones(2), torch.ones(2))
    program = torch_graph.record(function, arguments)
    nest, (nothing, doubled) = program(torch.ones(2), 2 * torch.ones(2), 3 * torch.ones(2))
    assert nest["sum"].tolist() == [3.0, 3.0]
    assert nothing is None
    assert doubled.tolist() == [6.0, 6.0]


outside = torch.ones(3)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x if x.sum() > 0 else -x,
        lambda x: x * float(x.sum()),
        lambda x: x + outside,
        lambda x: x + keras.random.normal((3,), seed=keras.random.SeedGenerator(1)),
        lambda x: x + torch.rand(3, generator=torch.Generator().manual_seed(1)),
        lambda x: x.no_such_method(),
    ],
)
def test_nothing_is_recorded_where_values_or_the_outside_decide(function):
    assert torch_graph.record(function, [torch.ones(3)]) is None


def test_nothing_is_recorded_where_pytorch_predicts_a_wrong_layout():
    function = gradients_of(lambda x: torch.nn.functional.pad(x, (0, 1, 0, 1), "replicate"))
    assert torch_graph.record(function, [random(2, 3, 4, 4)]) is not None
    assert torch_graph.record(function, [random(2, 3, 4, 4, channels_last=True)]) is None


def network():
    """Convolutions and pooling, a loop over time, attention, our layers, a mean: (B, 8, 8, 3)."""
    keras.utils.set_random_seed(0)
    x = image = keras.Input((8, 8, 3))
    x = layers.MaxPooling2D(2)(layers.Conv2D(8, 3, padding="same", use_bias=False)(x))
    x = LeakyReLU(0.1)(BatchNormalization(momentum=0.9)(x))
    x = layers.Conv2D(8, 3, 2, padding="same")(layers.AveragePooling2D(2, 1)(x))
    x = layers.Reshape((4, 8))(x)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x))
    x = layers.Concatenate()([layers.LSTM(8)(x), layers.GlobalAveragePooling1D()(x)])
    x = Dropout(0.3, seed=1)(GELU()(layers.Dense(16)(x)))
    return keras.Model(image, layers.Dense(5)(x))


def batches(*sizes):
    generator = np.random.default_rng(0)
    for size in sizes:
        images = generator.normal(size=(size, 8, 8, 3)).astype("float32")
        yield images, generator.integers(0, 5, size).astype("int32")


def cross_entropy(labels, logits):
    return ops.mean(ops.sparse_categorical_crossentropy(labels, logits, from_logits=True))


def step_and_model(**options):
    model = network()
    model.jit_compile = options.get("jit_compile", False)
    optimizer = keras.optimizers.Adam(1e-3)

    def compute_loss(images, labels):
        logits = model(images, training=True)
        return cross_entropy(labels, logits), {"logits": logits}

    return gradient_step(compute_loss, model, optimizer), model, optimizer


def weights_after(sizes, monkeypatch=None):
    if monkeypatch is not None:
        monkeypatch.setattr(torch_graph, "record", lambda *_: None)
    step, model, _ = step_and_model()
    losses = [float(step(*batch)[0]) for batch in batches(*sizes)]
    return losses, model.get_weights()


def test_a_recorded_step_gives_the_bits_of_one_that_is_not(monkeypatch, modules):
    sizes = [6, 6, 6, 4, 6, 4, 4, 6]
    losses, weights = weights_after(sizes)
    assert len(modules) == 3  # one for each size, and the optimizer's
    expected_losses, expected_weights = weights_after(sizes, monkeypatch)
    assert len(modules) == 3
    assert losses == expected_losses
    for one, other in zip(weights, expected_weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_loss_that_looks_at_values_is_computed_as_it_is():
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1, use_bias=False)])
    model.set_weights([np.full((1, 1), 1.0)])

    def compute_loss(x):
        y = ops.mean(model(x))
        return y if y > 0 else -y

    step = gradient_step(compute_loss, model, keras.optimizers.SGD(0.4))
    slopes = [float(step(np.ones((2, 1), "float32"))) for _ in range(6)]
    np.testing.assert_allclose(slopes, [1.0, 0.6, 0.2, 0.2, 0.2, 0.2], atol=1e-6)


def test_weights_rates_and_moments_that_are_set_in_between_count():
    step, model, optimizer = step_and_model()
    initial = model.get_weights()
    (batch,) = batches(6)
    losses = []
    for _ in range(2):
        model.set_weights(initial)
        for variable in [*optimizer.variables, *model.non_trainable_variables]:
            if variable is not optimizer._learning_rate:
                variable.assign(ops.zeros_like(variable))
        losses.append([float(step(*batch)[0]) for _ in range(4)])
    assert losses[0] == losses[1]
    optimizer.learning_rate = 0.0
    before = model.get_weights()
    step(*batch)
    for variable, value in zip(model.trainable_variables, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value.numpy())
    assert all(
        np.array_equal(one, other)
        for one, other, variable in zip(before, model.get_weights(), model.weights, strict=True)
        if variable.trainable
    )


def test_what_a_step_returns_stays_as_it_was():
    step, _, _ = step_and_model()
    (batch,) = batches(6)
    returned = [step(*batch) for _ in range(5)]
    copies = [[float(loss), aux["logits"].clone()] for loss, aux in returned]
    step(*batch)
    for (loss, aux), (number, logits) in zip(returned, copies, strict=True):
        assert float(loss) == number
        assert torch.equal(aux["logits"], logits)
    assert not returned[-1][1]["logits"].requires_grad


@pytest.mark.skipif(shutil.which("g++") is None, reason="PyTorch compiles with g++")
def test_jit_compile_compiles_what_is_recorded(monkeypatch):
    compiled = []
    compile_ = torch.compile

    def spy(module, **options):
        compiled.append(module)
        return compile_(module, **options)

    monkeypatch.setattr(torch, "compile", spy)
    jitted, model, _ = step_and_model(jit_compile=True)
    step, expected_model, _ = step_and_model()
    for batch in batches(6, 6, 6, 6):
        expected_model.set_weights(model.get_weights())
        np.testing.assert_allclose(float(jitted(*batch)[0]), float(step(*batch)[0]), rtol=1e-6)
    assert len(compiled) == 2


@pytest.mark.skipif(shutil.which("g++") is None, reason="PyTorch compiles with g++")
def test_compiled_convolutions_compute_the_same(monkeypatch):
    """Whose memory the compiler would lay out wrongly, without max pooling."""
    options = []
    compile_ = torch.compile

    def spy(module, **more):
        options.append(more["options"])
        return compile_(module, **more)

    monkeypatch.setattr(torch, "compile", spy)

    def convolutions(x, kernel):
        return torch.relu(convolution_to_and_fro(x, kernel)) * 2

    def pooled(x, kernel):
        y = convolutions(x, kernel).permute(0, 3, 1, 2).contiguous()
        return torch.nn.functional.max_pool2d(y, 2)

    tensors = random(2, 8, 8, 3), random(4, 3, 3, 3)
    for function in (convolutions, pooled):
        differentiated = gradients_of(function)
        program = torch_graph.record(differentiated, tensors, jit_compile=True)
        pairs = zip(
            keras.tree.flatten(program(*tensors)),
            keras.tree.flatten(differentiated(*tensors)),
            strict=True,
        )
        for found, expected in pairs:
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * expected.abs().max())
    assert options == [{"layout_optimization": False}, {"layout_optimization": True}]
