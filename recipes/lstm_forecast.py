"""An LSTM that forecasts series in time.

    python -m recipes run lstm_forecast
    python -m recipes run lstm_forecast --data-path ETTh1.csv

Hochreiter and Schmidhuber 1997, "Long Short-Term Memory". The network sees 48 rows of all series,
each as its distance from its last value, because levels drift (Zeng et al. 2022, "Are Transformers
Effective for Time Series Forecasting?", arXiv:2205.13504, section 4, NLinear). It forecasts 24 rows
at once, as distances from the middle between the last value and the value a season before. The
baseline is the value a season before.

Errors on the test part with the defaults, squared / absolute, of standardized values, on a 2-core
AMD EPYC:

                     tensorflow        jax               torch             baseline
    ETTh1.csv        0.3281 / 0.3637   0.3270 / 0.3631   0.3273 / 0.3632   0.4244 / 0.3892
    --data embedded  1.205 / 0.8499    1.205 / 0.8499    1.205 / 0.8499    1.206 / 0.8418

Published for ETTh1 and 24 rows of all series (Zhou et al. 2021, arXiv:2012.07436, table 2): LSTM
with attention 0.650 / 0.624, Informer 0.577 / 0.549. On the embedded sunspots it is no better than
the baseline: 216 years are few, and the 62 of the test had more spots than any before them.
"""

import math
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from recipes.data import series
from recipes.training import plots
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Rate, Seed
from zoo.recurrent.lstm import lstm_forecaster


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: windows a step
        learning_rate: Adam's at the first step; it falls to 0 along a cosine
        lookback: rows that a forecast sees
        horizon: rows that are forecast
        width: units of the LSTM
        dropout_rate: share of its last state that is dropped in training
        data_path: a .csv or .csv.gz file with rows in time order, whose columns of numbers are
            forecast, each from all; the file ETTh1.csv is split as its paper splits it, others
            70%, 10% and 20%
        seed: decides initial weights, shuffles and dropout
    """

    epochs: PositiveInt = 8
    batch_size: PositiveInt = 16
    learning_rate: PositiveFloat = 2e-3
    lookback: PositiveInt = 48
    horizon: PositiveInt = 24
    width: PositiveInt = 64
    dropout_rate: Rate = 0.1
    data_path: str = ""
    seed: Seed = 0


def forecaster(config, num_series, season):
    """The model (B, lookback, series) -> (B, horizon, series)."""
    values = keras.Input((config.lookback, num_series), name="values")
    last = layers.Cropping1D((config.lookback - 1, 0), name="last")(values)  # (B, 1, series)
    change = lstm_forecaster(
        horizon=config.horizon, num_features=num_series, width=config.width,
        dropout_rate=config.dropout_rate,
    )(layers.Subtract()([values, last]))  # fmt: skip
    times = math.ceil(config.horizon / season)
    x = layers.Cropping1D((config.lookback - season, 0))(values)
    x = layers.Concatenate(axis=1)([x] * times)  # (B, times season, series)
    naive = layers.Cropping1D((0, times * season - config.horizon), name="naive")(x)
    middle = layers.Average()([last, naive])
    return keras.Model(values, layers.Add()([middle, change]), name="lstm_forecast")


def seasonal_naive(inputs, horizon, season):
    """The last ``season`` rows, over and over: (N, lookback, series) -> (N, horizon, series)."""
    return inputs[:, -season:][:, np.arange(horizon) % season]


def best_season(inputs, targets):
    """The season, no longer than the horizon, that repeats best."""
    horizon = targets.shape[1]
    seasons = range(1, min(inputs.shape[1], horizon) + 1)
    return min(seasons, key=lambda season: mse(seasonal_naive(inputs, horizon, season), targets))


def mse(forecast, targets):
    """Mean squared error."""
    return float(np.mean((forecast - targets) ** 2, dtype="float64"))


def mae(forecast, targets):
    """Mean absolute error."""
    return float(np.mean(np.abs(forecast - targets), dtype="float64"))


def main(config, run):
    parts = run.load(series, config.data_path)
    train, validation, test = series.windows(parts, config.lookback, config.horizon)
    season = best_season(*train)

    model = forecaster(config, train[0].shape[-1], season)
    run.initialize(model)
    schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, run.total_steps(train))
    optimizer = keras.optimizers.Adam(schedule)
    absolute_error = keras.losses.MeanAbsoluteError()

    def compute_loss(inputs, targets):
        return absolute_error(targets, model(inputs, training=True))

    def forecast(inputs):
        return model.predict(inputs, batch_size=500, verbose=0).astype("float32")

    step = gradient_step(compute_loss, model, optimizer)
    for _ in run.epochs(step):
        for batch in run.batches(train):
            run.log(loss=step(*batch))
        inputs, targets = validation
        found = forecast(inputs)
        run.log(validation_loss=mae(found, targets), validation_mse=mse(found, targets))

    inputs, targets = test  # the one look at the test part
    found = forecast(inputs)
    naive = seasonal_naive(inputs, config.horizon, season)
    run.log(test_mse=mse(found, targets), test_mae=mae(found, targets))
    run.log(test_naive_mse=mse(naive, targets), test_naive_mae=mae(naive, targets))
    run.log(test_naive_season=season)
    run.save(model)
    figure = plots.forecasts(inputs[..., -1], targets[..., -1], found[..., -1])
    run.picture("forecasts", figure, "Windows of the test part: its last series, standardized.")
    by_row = {
        name: np.mean((values - targets) ** 2, axis=(0, 2))
        for name, values in (("LSTM", found), (f"{season} rows before", naive))
    }
    figure = plots.lines(by_row, "rows ahead", "mean squared error")
    run.picture("horizon", figure, "Errors on the test part by how far ahead a row lies.")
