"""An LSTM against the seasonal naive forecast."""

import json

import keras
import numpy as np
import pytest

from recipes import __main__ as command_line
from recipes.data import series
from recipes.lstm_forecast import Config, best_season, forecaster, mae, mse, seasonal_naive
from recipes.training.saved_run import read_run


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the recipe and returns (its folder, what it is over)."""
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())

    def call(*words):
        words = ["run", "lstm_forecast", *map(str, words), "--runs", str(tmp_path)]
        assert command_line.main(words) == 0
        (folder,) = (tmp_path / "lstm_forecast").iterdir()
        return folder, read_run(folder)

    return call


def test_a_short_run_is_better_than_the_seasonal_naive_forecast(run, tmp_path):
    random, months = np.random.default_rng(0), np.arange(720)
    level = 20 + np.cumsum(random.normal(0, 0.05, 720))
    values = level + 3 * np.sin(months * 2 * np.pi / 12) + random.normal(0, 0.5, 720)
    path = tmp_path / "own.csv"
    path.write_text("\n".join(["temperature", *map(str, values)]), "utf-8")
    words = ["--epochs", "4", "--learning-rate", "5e-3", "--lookback", "24"]
    folder, over = run("--data-path", path, *words)
    test = over.test
    assert test["test_mse"] < 0.8 * test["test_naive_mse"]
    assert test["test_mae"] < 0.9 * test["test_naive_mae"]

    # All figures are those of all windows of the right part.
    _, validation, (inputs, targets) = series.windows(series.from_file(path), 24, 24)
    assert len(inputs) == 144 - 24 + 1
    assert test["test_naive_season"] == 12
    naive = np.concatenate([inputs[:, -12:], inputs[:, -12:]], axis=1)
    assert test["test_naive_mse"] == pytest.approx(np.square(naive - targets).mean(), rel=1e-5)
    assert test["test_naive_mae"] == pytest.approx(np.abs(naive - targets).mean(), rel=1e-5)
    model = keras.models.load_model(folder / "model.keras")
    found = model.predict(inputs, verbose=0)
    assert test["test_mse"] == pytest.approx(np.square(found - targets).mean(), rel=1e-4)
    assert test["test_mae"] == pytest.approx(np.abs(found - targets).mean(), rel=1e-4)
    found = model.predict(validation[0], verbose=0) - validation[1]
    assert over.epochs[-1]["validation_loss"] == pytest.approx(np.abs(found).mean(), rel=1e-4)
    assert over.epochs[-1]["validation_mse"] == pytest.approx(np.square(found).mean(), rel=1e-4)


def test_errors_by_hand():
    forecast, targets = np.float32([[[1, 2]], [[3, 4]]]), np.float32([[[1, 4]], [[0, 5]]])
    assert mse(forecast, targets) == (0 + 4 + 9 + 1) / 4
    assert mae(forecast, targets) == (0 + 2 + 3 + 1) / 4


@pytest.mark.parametrize(
    ("season", "expected"), [(1, [5, 5, 5, 5]), (3, [3, 4, 5, 3]), (5, [1, 2, 3, 4])]
)
def test_the_naive_forecast_repeats_the_last_season(season, expected):
    known = np.arange(6.0)[None, :, None] + [0, 10]
    found = seasonal_naive(known, horizon=4, season=season)
    np.testing.assert_array_equal(found, np.array(expected)[None, :, None] + [0, 10])


@pytest.mark.parametrize("period", [1, 5, 7])
def test_the_season_is_found(period):
    values = np.random.default_rng(0).normal(size=period)[np.arange(60) % period, None]
    parts = ((values + np.linspace(0, 0.01, 60)[:, None]).astype("float32"),), (values,), (values,)
    train, _, _ = series.windows(parts, lookback=20, horizon=7)
    assert best_season(*train) == period
    assert best_season(train[0], train[1][:, :4]) <= 4
    assert best_season(train[0][:, -3:], train[1]) <= 3  # is known


@pytest.mark.parametrize("season", [1, 4, 6, 7])
def test_a_forecast_begins_between_the_last_value_and_the_naive_forecast(season):
    config = Config(lookback=8, horizon=6, width=4)
    model = forecaster(config, num_series=3, season=season)
    known = np.random.default_rng(0).normal(size=(5, 8, 3)).astype("float32")
    drawn = model.predict(known, verbose=0)
    # The network sees how far values lie from the last ones, of whatever level.
    level = np.float32([4, -2, 1])
    np.testing.assert_allclose(model.predict(known + level, verbose=0), drawn + level, atol=1e-5)
    for weight in model.weights:
        weight.assign(np.zeros(weight.shape))
    expected = (known[:, -1:] + seasonal_naive(known, 6, season)) / 2
    np.testing.assert_allclose(model.predict(known, verbose=0), expected, atol=1e-6)
    assert np.abs(drawn - expected).max() > 0.01  # which the network has moved


def test_a_file_of_ones_own_is_forecast(run, tmp_path):
    rows = np.arange(120)
    waves = np.sin(rows * np.pi / 3), np.cos(rows * np.pi / 4)
    lines = [f"{row},{one:.4f},{two:.4f}" for row, one, two in zip(rows, *waves, strict=True)]
    path = tmp_path / "waves.csv"
    path.write_text("\n".join(["day x,one,two", *(f"d{line}" for line in lines)]), "utf-8")
    words = ["--data-path", path, "--lookback", "12", "--horizon", "6", "--epochs", "1"]
    folder, over = run(*words, "--width", "8")
    data = json.loads((folder / "config.json").read_text())["data"]
    assert data["source"] == "file"
    assert data["description"] == "waves.csv: 84 for training, 12 for validation, 24 for the test"
    assert over.test["test_naive_season"] == 6
    assert len(over.steps) == (84 - 18 + 1) // 16
    model = keras.models.load_model(folder / "model.keras")
    assert model.input_shape == (None, 12, 2) and model.output_shape == (None, 6, 2)


@pytest.mark.parametrize(
    ("text", "words", "told"),
    [
        ("date,note\n" + "monday,dry\n" * 10, [], "no column has numbers"),
        ("a\n" + "1\n2\n" * 9 + "NA\n", [], "column a has 'NA' in row 20"),
        ("a\n" + "1\n2\n" * 50, [], "--lookback 48 and --horizon 24 are too long for the training"),
        ("a\n" + "1\n2\n" * 60, ["--horizon", "20"], "are too long for the validation part of 12"),
        (
            "a\n" + "1\n2\n" * 200,
            ["--data", "embedded"],
            "leave out --data embedded or --data-path",
        ),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(text, words, told, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())
    (tmp_path / "own.csv").write_text(text, "utf-8")
    runs = tmp_path / "runs"
    words = ["run", "lstm_forecast", "--data-path", str(tmp_path / "own.csv"), *words]
    assert command_line.main([*words, "--runs", str(runs)]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and "\n" not in error
    assert told in error
    assert list(runs.glob("*/*")) == []
