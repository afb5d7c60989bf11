"""Reads data that TensorFlow Datasets has prepared into NumPy arrays, without TensorFlow."""

import logging
import os
from pathlib import Path

import numpy as np

from recipes.training.errors import InputError

_CHUNK = 1000  # examples at a time: one random read each would be three times slower


class NotPrepared(Exception):
    """TFDS has not prepared this data set, or in a format that cannot be read here."""


def data_dir():
    """Where TFDS keeps its data: TFDS_DATA_DIR, else ~/tensorflow_datasets."""
    return Path(os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets").expanduser()


def read(name, splits, features):
    """Splits of a prepared data set, each a tuple of one array a feature.

    Raises:
        NotPrepared: the data set is not there, or not in ArrayRecord format.
        InputError: it is there, and damaged.
    """
    folder = data_dir() / name
    if not folder.is_dir():
        raise NotPrepared(f"TFDS has no {name} prepared in {data_dir()}")

    if not any(folder.glob("*/dataset_info.json")):
        raise _damaged(folder, "no version in it has a dataset_info.json")

    import tensorflow_datasets as tfds

    logging.getLogger("absl").setLevel(logging.ERROR)  # no advice on faster image decoders
    try:
        sources = tfds.data_source(
            name, split=list(splits), data_dir=str(data_dir()), download=False
        )
        return [_arrays(source, features) for source in sources]
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
    return tuple(np.stack(columns[feature]) for feature in features)
