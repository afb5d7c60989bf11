import math

import keras
import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from recipes import __main__ as command_line
from recipes import study_input_scaling as study
from recipes.data import wine


@pytest.fixture(scope="module")
def inputs():
    return wine.embedded()[0][0]


@pytest.mark.parametrize(
    ("name", "scaler"), [("min_max", MinMaxScaler()), ("standardized", StandardScaler())]
)
def test_scalings_are_scikit_learns(inputs, name, scaler):
    scale, offset = study.scalings(inputs)[name]
    expected = scaler.fit_transform(inputs.astype("float64"))
    np.testing.assert_allclose(scale * inputs + offset, expected, rtol=1e-5, atol=1e-5)


def test_a_model_scales_what_it_is_given(inputs):
    for name, (scale, offset) in study.scalings(inputs).items():
        model = study.model_of((scale, offset), [], name)
        expected = scale * inputs + offset
        kernel, bias = (keras.ops.convert_to_numpy(each) for each in model.weights)
        found = keras.ops.convert_to_numpy(model(inputs))
        np.testing.assert_allclose(found, expected @ kernel + bias, rtol=1e-4, atol=1e-3)


def test_curvatures_are_those_that_differentiation_finds(inputs):
    torch = pytest.importorskip("torch")
    scale, offset = study.scalings(inputs)["standardized"]
    rows = torch.tensor(scale * inputs + offset)

    def loss(weights):
        return 0.5 * torch.mean((rows @ weights[:-1] + weights[-1] - 1) ** 2)

    hessian = torch.autograd.functional.hessian(loss, torch.zeros(14, dtype=rows.dtype))
    expected = torch.linalg.eigvalsh(hessian).flip(0)
    np.testing.assert_allclose(study.curvatures(scale * inputs + offset), expected, rtol=1e-8)


def test_steps_until_a_loss():
    rows = [{"step": 6 * n, "training_a_loss": 1 / n} for n in range(1, 6)]
    assert study.steps_until(0.4, rows, "a") == 18
    assert study.steps_until(1 / 3, rows, "a") == 24
    assert study.steps_until(0.1, rows, "a") == math.inf


def test_the_test_part_decides_nothing_before_the_test(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())
    train, validation, (inputs, labels) = wine.embedded()
    metrics = []
    for name, factor in {"as it is": 1, "changed": 100}.items():
        parts = train, validation, (factor * inputs, labels)
        monkeypatch.setattr(wine, "embedded", lambda parts=parts: parts)
        runs = tmp_path / name
        words = ["run", "study_input_scaling", "--epochs", "1", "--runs", str(runs)]
        assert command_line.main(words) == 0
        (folder,) = (runs / "study_input_scaling").iterdir()
        metrics.append((folder / "metrics.jsonl").read_text().splitlines())
    first, second = metrics
    assert first[:-1] == second[:-1]
    assert first[-1] != second[-1]
