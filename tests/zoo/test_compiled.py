"""Compiled functions, and of PyTorch's the products of few rows."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from zoo.compiled import _product, compiled

of_pytorch = pytest.mark.skipif(keras.backend.backend() != "torch", reason="of PyTorch's programs")
RANDOM = np.random.default_rng(0)


@pytest.fixture
def two_threads():
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def products(monkeypatch):
    """The names of PyTorch's functions that made products."""
    import torch

    called = []
    for name in ("mm", "bmm"):
        function = getattr(torch, name)

        def spy(*arguments, name=name, function=function):
            called.append(name)
            return function(*arguments)

        monkeypatch.setattr(torch, name, spy)
    return called


def blocks():
    """The function that makes products of blocks; of a build without MKL, where there are none."""
    import torch

    return "bmm" if torch.backends.mkl.is_available() else "mm"


def matrix_of(shape, layout):
    """A tensor of PyTorch."""
    import torch

    rows, columns = shape
    made = {
        "rows": lambda: torch.as_tensor(RANDOM.normal(size=(rows, columns)), dtype=torch.float32),
        "columns": lambda: matrix_of((columns, rows), "rows").T,
        "every other column": lambda: matrix_of((rows, 2 * columns), "rows")[:, ::2],
    }
    return made[layout]()


def check(rows, matrix):
    expected = rows.double().numpy() @ matrix.double().numpy()
    found = _product(rows, matrix)
    assert found.dtype == matrix.dtype and found.is_contiguous()
    tolerance = 1e-4 if str(found.dtype) == "torch.float32" else 0.3
    np.testing.assert_allclose(found.double().numpy(), expected, rtol=0, atol=tolerance)


@of_pytorch
@pytest.mark.parametrize("count", [1, 2, 8])
@pytest.mark.parametrize(
    ("shape", "layout"),
    [((514, 530), "rows"), ((530, 514), "columns"), ((521, 35 * 15), "columns")],
)
def test_few_rows_are_multiplied_by_a_batch_of_blocks(count, shape, layout, two_threads, products):
    check(matrix_of((count, shape[0]), "rows"), matrix_of(shape, layout))
    assert products == [blocks()]


@of_pytorch
@pytest.mark.parametrize(
    ("count", "shape", "layout", "dtype"),
    [
        (9, (512, 512), "rows", "float32"),
        (1, (510, 512), "rows", "float32"),
        (1, (521, 512), "rows", "float32"),  # a prime
        (1, (512, 521), "columns", "float32"),
        (1, (512, 512), "every other column", "float32"),
        (1, (512, 512), "rows", "bfloat16"),
    ],
)
def test_others_are_left_to_pytorch(count, shape, layout, dtype, two_threads, products):
    import torch

    dtype = getattr(torch, dtype)
    check(matrix_of((count, shape[0]), "rows").to(dtype), matrix_of(shape, layout).to(dtype))
    assert products == ["mm"]


@of_pytorch
def test_one_thread_takes_no_blocks(two_threads, products):
    import torch

    torch.set_num_threads(1)
    check(matrix_of((1, 512), "rows"), matrix_of((512, 512), "rows"))
    assert products == ["mm"]


@pytest.mark.parametrize("batch", [1, 9])
def test_a_compiled_function_computes_what_the_model_does(batch):
    model = keras.Sequential([keras.Input((600,)), layers.Dense(500), layers.Dense(4)])
    doubled = compiled(lambda state, x: (2 * model(x) + state[0], state), model)
    state, x = np.ones((batch, 4), "float32"), RANDOM.normal(size=(batch, 600)).astype("float32")
    for _ in range(2):
        outputs, (kept,) = doubled([state], x)
        expected = x.astype("float64")
        for layer in model.layers:
            expected = expected @ ops.convert_to_numpy(layer.kernel)
        np.testing.assert_allclose(ops.convert_to_numpy(outputs), 2 * expected + 1, atol=1e-4)
        np.testing.assert_array_equal(ops.convert_to_numpy(kept), state)
        model.set_weights([2 * each for each in model.get_weights()])  # are read afresh


@of_pytorch
def test_its_products_are_of_blocks(two_threads, products):
    model = keras.Sequential([keras.Input((600,)), layers.Dense(500), layers.Dense(4)])
    call = compiled(lambda _, x: model(x), model)
    x = np.ones((1, 600), "float32")
    first = call([], x)
    products.clear()
    np.testing.assert_array_equal(ops.convert_to_numpy(call([], x)), ops.convert_to_numpy(first))
    assert products == [blocks(), "mm"]
