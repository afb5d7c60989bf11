"""Gradients by hand beside PyTorch's, and the study's own yardsticks."""

import itertools

import keras
import numpy as np
import pytest
import torch
from keras import ops

from recipes import study_backpropagation as study


@pytest.fixture
def case():
    """(weights, images, labels) of a network of three layers."""
    random = np.random.default_rng(2)
    sizes = [12, 7, 5, 10]
    weights = [
        random.normal(0, 0.5, shape).astype("float32")
        for inputs, outputs in itertools.pairwise(sizes)
        for shape in ((inputs, outputs), (outputs,))
    ]
    images = random.normal(size=(9, 12)).astype("float32")
    return weights, images, random.integers(10, size=9).astype("int32")


def by_pytorch(weights, images, labels):
    """(loss, gradients) in float64."""
    weights = [torch.tensor(each, dtype=torch.float64, requires_grad=True) for each in weights]
    x = torch.tensor(images, dtype=torch.float64)
    for index in (0, 2):
        x = torch.tanh(x @ weights[index] + weights[index + 1])
    logits = x @ weights[4] + weights[5]
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(labels, dtype=torch.int64))
    loss.backward()
    return float(loss.detach()), [each.grad.numpy() for each in weights]


def test_the_gradients_are_those_of_pytorch(case):
    weights, images, labels = case
    _, expected = by_pytorch(*case)
    tensors = [ops.convert_to_tensor(each) for each in (*weights, images, labels)]
    found = study.backward(tensors[:6], tensors[6], tensors[7])
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(one), other, rtol=1e-5, atol=1e-6)


def test_finite_differences_are_those_of_the_weights_that_they_name(case):
    loss, expected = by_pytorch(*case)
    weights, images, labels = case
    precise = [each.astype("float64") for each in weights]
    assert study.loss_in_float64(precise, images, labels) == pytest.approx(loss, rel=1e-12)
    places, slopes = study.finite_differences(*case, seed=0)
    assert [len(each) for each in places] == [50, 7, 35, 5, 50, 10]
    for gradient, chosen, found in zip(expected, places, slopes, strict=True):
        assert len(set(chosen)) == len(chosen)
        np.testing.assert_allclose(found, gradient.ravel()[chosen], rtol=1e-5, atol=1e-8)


def test_the_difference_is_the_largest_of_all():
    found, expected = [np.array([1.0, 2]), np.array([[4.0]])], [np.array([1.0, 4]), [[-5.0]]]
    assert study.difference(found, expected) == 9
    assert study.difference(expected, expected) == 0


def test_pixels_are_between_0_and_1():
    images = np.arange(2 * 784).reshape(2, 28, 28, 1).astype("uint8")
    found = study.pixels(images)
    assert found.shape == (2, 784) and found.dtype == "float32"
    np.testing.assert_allclose(found, images.reshape(2, 784) / 255, rtol=1e-6)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
