"""A multilayer perceptron on tables, one's own too.

    python -m recipes run mlp_tabular --table diabetes
    python -m recipes run mlp_tabular --data-path FILE.csv --target COLUMN

Gorishniy, Rubachev, Khrulkov and Babenko 2021, "Revisiting Deep Learning Models for Tabular Data",
arXiv:2106.11959: an MLP on well-prepared columns is hard to beat. A column of texts, or of few
whole numbers, is predicted as classes, and any other as an amount.

On the test part, on a 2-core AMD EPYC, beside scikit-learn's MLPClassifier and MLPRegressor with
their default arguments, on the same inputs: accuracy of the defaults; and the root mean squared
error, in dollars, of the file california_housing_20640.csv.gz with --target median_house_value
--batch-size 256 --epochs 120 --learning-rate 0.002 (the paper's MLP, table 2: 49,900):

                  tensorflow   jax          torch        scikit-learn
    breast cancer 96.49%       96.49%       96.49%       97.37%
    California    4.85e+04     4.841e+04    4.843e+04    5.069e+04
"""

import warnings
from dataclasses import dataclass
from typing import Literal

import keras
import numpy as np

from recipes.data import csv_file, tables
from recipes.training import plots
from recipes.training.errors import InputError
from recipes.training.evaluate import classify
from recipes.training.folder import write_json
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Rate, Seed
from zoo.feedforward.mlp import mlp


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: rows a step
        learning_rate: AdamW's at the first step; it falls to 0 along a cosine
        weight_decay: AdamW's
        width: units of a hidden layer
        depth: number of hidden layers
        dropout_rate: share of each hidden layer's outputs that is dropped in training
        table: what is learned without a file: breast_cancer, iris or wine (classes), or diabetes
        data_path: a .csv or .csv.gz file whose first row names the columns
        target: of the file, the column to be predicted
        leave_out: of the file, columns that are not used, with commas between, and quotes around a
            name that has a comma or is empty, as in 'id,"last, first",""'
        seed: decides initial weights, validation part, shuffles and dropout
    """

    epochs: PositiveInt = 40
    batch_size: PositiveInt = 64
    learning_rate: PositiveFloat = 1e-3
    weight_decay: PositiveFloat = 1e-2
    width: PositiveInt = 256
    depth: PositiveInt = 3
    dropout_rate: Rate = 0.1
    table: Literal[tables.EMBEDDED] = "breast_cancer"
    data_path: str = ""
    target: str = ""
    leave_out: str = ""
    seed: Seed = 0


def main(config, run):
    for option, value in (("--target", config.target), ("--leave-out", config.leave_out)):
        if value and not config.data_path:
            raise InputError(f"{option} {value!r} is for a file: give --data-path, or leave it out")
    if config.data_path and config.table != Config.table:
        raise InputError(
            f"leave out --table {config.table} or --data-path {config.data_path}: only one can be"
        )
    table = tables.Table(config.table, config.target, csv_file.names(config.leave_out))
    parts = run.load(table, config.data_path)
    encoding = tables.Encoding.fit(table, parts[0])
    train, validation, test = (
        (encoding.inputs(numbers, categories), encoding.targets(target))
        for numbers, categories, target in parts
    )
    classes = table.classes

    model = mlp(
        num_classes=len(classes) if classes else 1, input_shape=train[0].shape[1:],
        widths=(config.width,) * config.depth, dropout_rate=config.dropout_rate,
        input_dropout_rate=0.0,
    )  # fmt: skip
    run.initialize(model)
    schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, run.total_steps(train))
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=config.weight_decay)
    if classes:
        loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    else:
        loss_function = keras.losses.MeanSquaredError()

    def compute_loss(inputs, targets):
        return loss_function(targets, model(inputs, training=True))

    def answer(split):
        """A ``Classification``, or amounts in their unit."""
        if classes:
            return classify(model, split)
        return encoding.amounts(model.predict(split[0], batch_size=500, verbose=0))

    def figures(found, split):
        """Of answers: the loss, and the accuracy or the root mean squared error in the unit."""
        if classes:
            return {"loss": found.loss, "accuracy": found.accuracy}
        error = rmse(found, encoding.amounts(split[1]))
        return {"loss": (error / encoding.content["standard_deviation"]) ** 2, "rmse": error}

    step = gradient_step(compute_loss, model, optimizer)
    for _ in run.epochs(step):
        for batch in run.batches(train):
            run.log(loss=step(*batch))
        reached = figures(answer(validation), validation)
        run.log(**{f"validation_{name}": value for name, value in reached.items()})

    found = answer(test)  # the one look at the test part
    run.log(**{f"test_{name}": value for name, value in figures(found, test).items()})
    run.log(**baseline(train, test, encoding, config.seed))
    run.save(model)
    write_json(run.folder / "columns.json", encoding.content)
    if classes:
        figure = plots.confusion_matrix(found, classes)
        run.picture("confusion", figure, "True and predicted classes of the test part.")
    else:
        figure = plots.agreement(encoding.amounts(test[1]), found)
        run.picture("agreement", figure, "True and predicted amounts of the test part.")


def baseline(train, test, encoding, seed):
    """What scikit-learn's MLP, with its default arguments, has on the test part."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    classes = encoding.content["classes"]
    model = (MLPClassifier if classes else MLPRegressor)(random_state=seed)
    # By default they stop after 200 epochs, and warn where the loss still falls.
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        model.fit(train[0], train[1].ravel())
    inputs, targets = test
    if classes:
        return {"test_sklearn_accuracy": model.score(inputs, targets)}
    found = encoding.amounts(model.predict(inputs)[:, None])
    return {"test_sklearn_rmse": rmse(found, encoding.amounts(targets))}


def rmse(found, expected):
    """Root mean squared error."""
    return float(np.sqrt(np.mean((found - expected) ** 2)))
