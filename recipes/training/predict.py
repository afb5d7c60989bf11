"""What the model of a run says of pictures, or of rows of a table, that a user has."""

import importlib
import importlib.util
import json

import keras
import numpy as np

import custom_layers  # noqa: F401, registers the layers that models are saved with
from recipes.data import pictures, tables
from recipes.data.picture_file import read_picture, square
from recipes.training.errors import InputError

_SHOWN = 3  # classes a picture


def predict(run, files):
    """What a model says of files: [(what, said)] for each picture, or each row of a table.

    Said is the most probable classes, [(class, probability)], or an amount.

    Args:
        run: the ``SavedRun`` of a recipe of pictures or of tables.
        files: paths of pictures of any size, in any format that pillow reads; or of .csv files.

    Raises:
        InputError: the run's data is neither, it has no model, or a file cannot be read.
    """
    name = run.description.get("data", {}).get("name", "nothing")
    if name == tables.Table.NAME:
        return _predict_rows(run, files)
    names, from_picture = _pictures(run, name)
    inputs = np.stack([_read(file, from_picture) for file in files])
    logits = _model(run).predict(inputs, verbose=0)
    return list(zip(files, _most_probable(logits, names), strict=True))


def _predict_rows(run, files):
    encoding = tables.Encoding(_json(run, "columns.json"))
    model, said = _model(run), []
    for file in files:
        try:
            rows, inputs = encoding.read(file)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"cannot read {file}: {reason}") from None
        outputs = model.predict(inputs, verbose=0)
        classes = encoding.content["classes"]
        found = _most_probable(outputs, classes) if classes else encoding.amounts(outputs).tolist()
        said += [(f"{file} row {row}", each) for row, each in zip(rows, found, strict=True)]
    return said


def _most_probable(logits, names):
    """[(class, probability)] of each example, the most probable first."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True), dtype="float64")
    probabilities = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return [
        [(names[index], row[index]) for index in np.argsort(-row, kind="stable")[:_SHOWN]]
        for row in probabilities
    ]


def _pictures(run, name):
    """The names of a run's classes, and what makes a picture one of its data."""
    if name == pictures.Pictures.NAME:
        size = run.description["options"]["image_size"]
        return _json(run, "classes.json"), lambda picture: square(picture, size)
    module = f"recipes.data.{name}"
    data = importlib.import_module(module) if importlib.util.find_spec(module) else None
    if not hasattr(data, "from_picture"):
        raise InputError(
            f"{run.folder} was trained on {name}, and neither on pictures nor on a table: name the "
            f"run of a recipe that classifies pictures, such as cnn_mnist, or of mlp_tabular"
        )
    names = data.CLASSES
    if run.description["data"]["source"] == "embedded":
        names = getattr(data, "EMBEDDED_CLASSES", names)
    return names, data.from_picture


def _json(run, name):
    try:
        return json.loads((run.folder / name).read_text("utf-8"))
    except (OSError, ValueError):
        raise InputError(f"{run.folder} has no {name}: its run is not over, or was ended") from None


def _model(run):
    path = run.folder / "model.keras"
    if not path.is_file():
        raise InputError(f"{run.folder} has no model.keras: its run is not over, or was ended")
    try:
        return keras.models.load_model(path)
    except Exception as error:  # Keras, zip and HDF5 raise many kinds for a damaged file
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"cannot load {path} ({reason}): run the recipe again") from None


def _read(file, from_picture):
    try:
        picture = read_picture(file)
    except ValueError as error:
        raise InputError(str(error)) from None
    try:
        return from_picture(picture)
    except ValueError as error:
        raise InputError(f"{file}: {error}") from None
