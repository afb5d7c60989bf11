import keras
import numpy as np
import pytest
from sklearn.metrics import zero_one_loss

from recipes import study_wide_networks as study
from zoo.feedforward.mlp import mlp


def test_an_error_is_scikit_learns_zero_one_loss():
    keras.utils.set_random_seed(0)
    networks = [mlp(widths=(width,), input_shape=(8,), num_classes=3) for width in (2, 5)]
    random = np.random.default_rng(0)
    examples = random.normal(size=(901, 8)).astype("float32")
    labels = random.integers(3, size=901)
    found = study.errors(networks, (examples, labels))
    expected = [
        zero_one_loss(labels, network.predict(examples, verbose=0).argmax(axis=-1))
        for network in networks
    ]
    assert found == pytest.approx(expected)
    assert found[0] != found[1]


def test_a_value_has_the_width_of_its_network():
    values = [0.1 * index for index in range(len(study.WIDTHS))]
    found = study.named("test_width_{}_error", values)
    assert found["test_width_4_error"] == 0
    assert [found[f"test_width_{width}_error"] for width in study.WIDTHS] == values
