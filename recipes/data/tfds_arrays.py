"""Reads data that TensorFlow Datasets has prepared into NumPy arrays, without TensorFlow."""

import logging
import os
from pathlib import Path

import numpy as np

from recipes.data import tfds_download
from recipes.data.tfds_download import NotPrepared
from recipes.training.errors import InputError

_CHUNK = 1000  # examples at a time: one random read each would be three times slower


def data_dir():
    """Where TFDS keeps its data: TFDS_DATA_DIR, else ~/tensorflow_datasets."""
    return Path(os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets").expanduser()


def read(name, splits, features):
    """Splits of a data set, each a tuple of one array a feature; prepares it first if need be.

    Of a feature whose values differ in length, the array is one of lists.

    Raises:
        NotPrepared: the data set is not there and cannot be prepared, or not in ArrayRecord format.
        InputError: it is there, and damaged.
    """
    folder = data_dir() / name
    try:
        sources = _builder(name).as_data_source(list(splits))
        return [_arrays(source, features) for source in sources]
    except (NotPrepared, InputError):
        raise
    except NotImplementedError:
        raise NotPrepared(
            f"TFDS has prepared {name} in {data_dir()}, but not in the ArrayRecord format, which "
            f"alone can be read at random and without TensorFlow"
        ) from None
    except ImportError as error:
        raise InputError(
            f"reading TFDS data needs the package {error.name!r}, which is not installed: "
            f"pip install {error.name}, or pass --data embedded"
        ) from None
    except Exception as error:  # TFDS and its readers raise many kinds for damaged files
        reason = " ".join(str(error).split())[:200]
        raise _damaged(folder, reason or type(error).__name__) from None


def _builder(name):
    """The TFDS builder of a data set that is prepared, from now on if not before."""
    import tensorflow_datasets as tfds

    logging.getLogger("absl").setLevel(logging.ERROR)  # no advice on faster image decoders
    builder = tfds.builder(name, data_dir=str(data_dir()))
    # The folder gets this name when all is in it; until then TFDS calls it incomplete.
    if not builder.data_path.exists():
        tfds_download.prepare(name, builder)
        return tfds.builder(name, data_dir=str(data_dir()))
    if not (builder.data_path / "dataset_info.json").exists():
        raise _damaged(data_dir() / name, "it has no dataset_info.json")
    return builder


def _damaged(folder, reason):
    return InputError(
        f"the TFDS data in {folder} is damaged ({reason}): delete that folder and prepare it "
        f"again, or pass --data embedded"
    )


def _arrays(source, features):
    columns = {feature: [] for feature in features}
    for start in range(0, len(source), _CHUNK):
        for example in source.__getitems__(range(start, min(start + _CHUNK, len(source)))):
            for feature in features:
                columns[feature].append(example[feature])
    return tuple(_column(columns[feature]) for feature in features)


def _column(values):
    if len({np.shape(value) for value in values}) == 1:
        return np.stack(values)
    column = np.empty(len(values), object)
    column[:] = values
    return column
