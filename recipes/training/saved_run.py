"""Reads a run folder: what a run was told to do and what it has written, also while it trains."""

import json
from pathlib import Path
from typing import NamedTuple

from recipes.training.errors import InputError

# What config.json has from the start.
_RECORDED = ("command", "device", "git_commit", "options", "started", "threads", "versions")


class SavedRun(NamedTuple):
    """What a run folder holds.

    Attributes:
        folder: where it lies.
        description: the content of config.json.
        steps: the rows of metrics.jsonl that are a step's.
        epochs: the rows that end an epoch.
        test: figures of the test part, {name: value}; empty before the run is over.
        timings: the rows of timings.jsonl, one an epoch.
        seconds: seconds of the whole run; None before it is over.
    """

    folder: Path
    description: dict
    steps: list
    epochs: list
    test: dict
    timings: list
    seconds: float | None

    @property
    def name(self):
        """Recipe and folder, such as ``cnn_mnist/20260101-120000-jax``."""
        return f"{self.description['recipe']}/{self.folder.resolve().name}"

    @property
    def differences(self):
        """What differed from before where the run was killed and went on: a phrase for each."""
        resumed = self.description.get("resumed", ())
        return [phrase for each in resumed for phrase in each["differences"]]

    @property
    def steps_per_second(self):
        """Mean over all epochs but the first, which compiles; None before one is over.

        None also where all took less time than is written.
        """
        timings = self.timings[1:] or self.timings
        seconds = sum(row["training_seconds"] for row in timings)
        if not seconds:
            return None
        return sum(row["steps_per_second"] * row["training_seconds"] for row in timings) / seconds


def read_run(folder):
    """Reads a run folder into a ``SavedRun``.

    Raises:
        InputError: it is no run folder, or a file in it is damaged.
    """
    folder = Path(folder)
    description = read_description(folder)
    try:
        rows = read_rows(folder / "metrics.jsonl")
        timings = read_rows(folder / "timings.jsonl")
        run = SavedRun(
            folder=folder,
            description=description,
            steps=[row for row in rows if not _ends_epoch(row) and not _of_test(row)],
            epochs=[row for row in rows if _ends_epoch(row)],
            test={name: row[name] for row in rows for name in _of_test(row)},
            timings=[row for row in timings if "epoch" in row],
            seconds=next((row["seconds"] for row in timings if "epoch" not in row), None),
        )
        _ = run.name, run.steps_per_second
        _ = [(row["epoch"], row["step"]) for row in rows]
        return run
    except OSError as error:
        raise InputError(f"cannot read the run in {folder}: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(folder, error) from None


def read_description(folder):
    """The content of a run folder's config.json.

    Raises:
        InputError: it is no run folder, or the file is damaged.
    """
    folder = Path(folder)
    try:
        description = json.loads((folder / "config.json").read_text("utf-8"))
        _ = description["recipe"], [description[name] for name in _RECORDED]
        return description
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{folder} is no run folder, it has no config.json: name one such as "
            f"runs/cnn_mnist/20260101-120000-jax"
        ) from None
    except OSError as error:
        raise InputError(f"cannot read the run in {folder}: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(folder, error) from None


def _damaged(folder, error):
    return InputError(
        f"the run in {folder} is damaged ({type(error).__name__}: {error}): run it again"
    )


def read_rows(path):
    """The whole lines of a file of JSON rows; the last may be on its way."""
    *lines, _ = path.read_text("utf-8").split("\n") if path.exists() else [""]
    rows = [json.loads(line) for line in lines]
    _ = [sum(row.values()) for row in rows]  # all are numbers
    return rows


def _ends_epoch(row):
    return any(name.startswith(("training_", "validation_")) for name in row)


def _of_test(row):
    return [name for name in row if name.startswith("test_")]
