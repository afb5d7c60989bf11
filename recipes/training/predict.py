"""What the model of a run says of pictures that a user has."""

import importlib
import importlib.util

import keras
import numpy as np
from PIL import Image, ImageOps

import custom_layers  # noqa: F401, registers the layers that models are saved with
from recipes.training.errors import InputError

_SHOWN = 3  # classes a picture


def predict(run, files):
    """Classifies pictures: for each file the most probable classes, [(class, probability)].

    Args:
        run: the ``SavedRun`` of a recipe whose data has ``from_picture`` and ``CLASSES``, and
            ``EMBEDDED_CLASSES`` where what is embedded shows something else.
        files: paths of pictures of any size, in any format that pillow reads.

    Raises:
        InputError: the run's data is no pictures, it has no model, or a file is no picture.
    """
    data = _data(run)
    names = data.CLASSES
    if run.description["data"]["source"] == "embedded":
        names = getattr(data, "EMBEDDED_CLASSES", names)
    inputs = np.stack([_read(file, data) for file in files])
    logits = _model(run).predict(inputs, verbose=0).astype("float64")
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return [
        [(names[index], row[index]) for index in np.argsort(-row, kind="stable")[:_SHOWN]]
        for row in probabilities
    ]


def _data(run):
    name = run.description.get("data", {}).get("name", "nothing")
    module = f"recipes.data.{name}"
    data = importlib.import_module(module) if importlib.util.find_spec(module) else None
    if not hasattr(data, "from_picture"):
        raise InputError(
            f"{run.folder} was trained on {name}, and not on pictures: name the run of a recipe "
            f"that classifies pictures, such as cnn_mnist"
        )
    return data


def _model(run):
    path = run.folder / "model.keras"
    if not path.is_file():
        raise InputError(f"{run.folder} has no model.keras: its run is not over, or was ended")
    try:
        return keras.models.load_model(path)
    except Exception as error:  # Keras, zip and HDF5 raise many kinds for a damaged file
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"cannot load {path} ({reason}): run the recipe again") from None


def _read(file, data):
    try:
        with Image.open(file) as picture:
            picture = ImageOps.exif_transpose(picture)
            if picture.mode.startswith("I"):  # 16 bits, which pillow would clip to 8
                picture = Image.fromarray((np.asarray(picture) // 257).astype("uint8"))
            picture = picture.convert("RGBA")
    except Exception as error:  # pillow raises many kinds for a damaged file
        reason = getattr(error, "strerror", None) or "it is damaged, too large, or no picture"
        raise InputError(f"cannot read {file} as a picture: {reason}") from None
    paper = Image.new("RGBA", picture.size, "white")  # what shows through where it is transparent
    try:
        return data.from_picture(Image.alpha_composite(paper, picture).convert("RGB"))
    except ValueError as error:
        raise InputError(f"{file}: {error}") from None
