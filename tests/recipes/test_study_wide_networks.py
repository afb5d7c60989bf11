import keras
import numpy as np
import pytest
from sklearn.metrics import zero_one_loss

from recipes import study_wide_networks as study
from recipes.data import few_digits
from tests.recipes.spies import are_right, spied_run
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


def test_labels_are_wrong_in_training_alone(tmp_path, monkeypatch):
    """And the figures are those of the model that is saved, on the test part."""
    words = ["--epochs", "1", "--batch-size", "100", "--wrong-labels", "0.5"]
    run, batches = spied_run(monkeypatch, study, tmp_path)(*words)
    training, test = few_digits.embedded()
    right = are_right(batches, training)
    assert len(right) == len(study.WIDTHS) * 900
    assert np.mean(right) == pytest.approx(0.5, abs=0.05)
    model = keras.models.load_model(run.folder / "model.keras")
    expected = zero_one_loss(test[1], model.predict(test[0], verbose=0).argmax(axis=1))
    assert run.test["test_width_512_error"] == pytest.approx(expected)
