"""One run of a recipe: its seeds, data, batches, log, pictures and report.

    for epoch in run.epochs():
        for batch in run.batches(train):
            run.log(loss=step(*batch))
        run.log(validation_accuracy=...)
    run.log(test_accuracy=...)

Its folder holds, when the run is over:

    config.json     options, command, versions, device, threads, data source, git commit
    metrics.jsonl   reproducible values only: a row a step, a row an epoch, a last row
    timings.jsonl   seconds and steps a second, a row an epoch, and a last row
    tensorboard/    the same figures for TensorBoard
    model.keras     and the recipe's pictures, curves, report.html
"""

import contextlib
import json
import math
import shutil
import statistics
import time

import keras
import numpy as np

from recipes.data import batches as batching
from recipes.data import sources
from recipes.training.describe import describe
from recipes.training.errors import CannotWrite, InputError, NonFiniteValue
from recipes.training.event_files import EventFiles
from recipes.training.folder import GrowingFile, make_folder, whole_file, write_json
from recipes.training.progress import Progress, figures
from recipes.training.report import save_picture, write_report
from zoo.initial_weights import draw_weights, remembered_initializers, weights_of

VALIDATION_FRACTION = 0.1
_SECONDS_BETWEEN_FETCHES = 0.5


class Run:
    """Everything of a run that is not the model, the loss, the step or the evaluation.

    A context manager: leaving it without an error writes the report.

    Args:
        recipe: the recipe's name.
        config: its Config, of which ``epochs``, ``batch_size`` and ``seed`` are used here.
        options: the ``Options`` that every recipe takes.

    Raises:
        InputError: the run folder cannot be made.
        CannotWrite: nothing can be written into it; so do all methods that write.
    """

    def __init__(self, recipe, config, options):
        self._started = time.perf_counter()
        self._recipe = recipe
        self._config = config
        self._options = options
        self.folder = make_folder(options.runs, recipe, options.backend)
        self._description = describe(recipe, config, options)
        try:
            self._describe()
            self._metrics = _Rows(self.folder / "metrics.jsonl")
            self._timings = _Rows(self.folder / "timings.jsonl")
            self._events = EventFiles(self.folder / "tensorboard")
        except CannotWrite:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self._progress = None
        self._step = self._epoch = 0
        self._row = None  # what log() fills; None before the first step
        # Rows whose values are still on the device, each with its number of steps if stacked.
        self._pending = []
        keras.utils.set_random_seed(config.seed)
        self._settings = contextlib.ExitStack()  # of Keras, for the time of the run
        self._settings.callback(keras.config.set_dtype_policy, keras.config.dtype_policy())
        keras.config.set_dtype_policy(options.precision)
        self._settings.enter_context(remembered_initializers())
        print(f"{recipe} on {options.backend}, {self._description['device']}", flush=True)

    def load(self, module):
        """Reads a module of recipes.data: (training, validation, test), each a tuple of arrays.

        Validation is cut from the training part by the seed. It decides everything; the test
        part is for one look, at the end.
        """
        training, test, source = sources.load(module, self._options.data)
        self._describe(data={"name": module.NAME, **source})
        print(f"data: {source['description']}", flush=True)
        return *batching.cut_validation(training, VALIDATION_FRACTION, self._config.seed), test

    def total_steps(self, split):
        """Number of steps of the whole run, for schedules.

        Raises:
            InputError: the split has no whole batch.
        """
        steps = batching.batches_per_epoch(split, self._config.batch_size)
        if steps == 0:
            raise InputError(
                f"--batch-size {self._config.batch_size} is larger than the training part of "
                f"{len(split[0])} examples: give at most {len(split[0])}"
            )
        return self._config.epochs * steps

    def initialize(self, *models):
        """Draws the initial weights of all models that are trained: the seed decides them.

        They are the same, bit for bit, on every backend. Call it once, with all models.
        """
        draw_weights(*models, seed=self._config.seed)
        if self._options.ulps:
            for weight in weights_of(*models):
                value = keras.ops.convert_to_numpy(weight)
                weight.assign(value + self._options.ulps * np.spacing(value))

    def epochs(self):
        """Counts the epochs from 1; what is logged after the batches of one is written there."""
        for epoch in range(1, self._config.epochs + 1):
            self._epoch = epoch
            started = time.perf_counter()
            yield epoch
            seconds = time.perf_counter() - started
            row = self._record(self._row)
            self._timings.write(
                {
                    "epoch": self._epoch,
                    "seconds": round(seconds, 3),
                    "training_seconds": round(self._training_seconds, 3),
                    "steps_per_second": round(self._steps_of_epoch / self._training_seconds, 3),
                }
            )
            self._progress.end_epoch(_without_position(row), seconds)
        self._progress.close()
        self._row = self._position()

    def batches(self, split, transform=None, stack=None):
        """The batches of this epoch: tuples of arrays, shuffled by (seed, epoch).

        Args:
            split: tuple of arrays of one length.
            transform: ``transform(random, *batch)`` returns the batch to train on: augmentation,
                or noise as one more array. ``random`` is a NumPy generator of this batch alone,
                decided by (seed, epoch, position), so it draws the same on every backend.
            stack: so many batches at a time, along a new first axis, for ``gradient_steps``; the
                last of an epoch may be fewer. What is logged then has a value for each.
        """
        if self._progress is None:
            self._progress = Progress(self._recipe, self.total_steps(split))
        self._progress.begin_epoch(f"epoch {self._epoch}/{self._config.epochs}")
        self._training_values = {}  # name: the values of this epoch's steps
        self._steps_of_epoch = 0
        fetched = time.perf_counter()
        for batch in batching.batches(
            split, self._config.batch_size, self._config.seed, self._epoch, transform, stack
        ):
            steps = len(batch[0]) if stack else 1
            self._step += steps
            self._steps_of_epoch += steps
            self._row = self._position()
            yield batch
            self._pending.append((self._row, steps if stack else None))
            self._progress.step(steps)
            if time.perf_counter() - fetched > _SECONDS_BETWEEN_FETCHES:
                self._write_pending()
                fetched = time.perf_counter()
        self._write_pending()
        self._training_seconds = self._progress.end_training()
        self._row = self._position()
        for name, values in self._training_values.items():
            self._row[f"training_{name}"] = statistics.fmean(values)

    def log(self, **values):
        """Records scalars: of this step within the batches, of this epoch after them, of the
        test after the epochs.

        They may still be on the device, and are fetched in batches; the value that ends a run
        because it is NaN or infinite may therefore be one of some steps before.
        """
        self._row.update(values)

    def save(self, model):
        """Saves a model as model.keras, for ``keras.models.load_model``."""
        # Keras wants the ending .keras, which the temporary name keeps.
        with whole_file(self.folder / "model.keras") as path:
            model.save(path)
        self._describe(model={"name": model.name, "parameters": model.count_params()})

    def picture(self, name, figure, caption):
        """Saves a matplotlib figure as ``name``.png and puts it into the report."""
        save_picture(figure, self.folder / f"{name}.png")
        self._describe(pictures={**self._description["pictures"], f"{name}.png": caption})

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if self._progress is not None:
            self._progress.close()
        try:
            if kind is None:
                self._finish()
            elif kind is KeyboardInterrupt:
                self._write_pending()
        finally:
            self._settings.close()
            for file in (self._metrics, self._timings, self._events):
                file.close()
        if self._step == 0 and kind is not None and issubclass(kind, (InputError, CannotWrite)):
            # Nothing has been trained: leave nothing behind.
            shutil.rmtree(self.folder, ignore_errors=True)

    def _finish(self):
        test = _without_position(self._record(self._row))
        self._timings.write({"seconds": round(time.perf_counter() - self._started, 3)})
        report = write_report(self.folder)
        print(f"{figures(test)}  {time.perf_counter() - self._started:.0f} s in all")
        print(f"report: {report}")
        print(f"run folder: {self.folder}", flush=True)

    def _describe(self, **more):
        self._description |= more
        write_json(self.folder / "config.json", self._description)

    def _position(self):
        return {"epoch": self._epoch, "step": self._step}

    def _record(self, row):
        """Writes a row of figures, and returns it with plain numbers."""
        row = self._metrics.write(row)
        self._events.write(row)
        return row

    def _write_pending(self):
        """Fetches what is still on the device, writes it, and shows the last of it."""
        pending, self._pending = self._pending, []
        for logged, stacked in pending:
            for row in _rows_of_stack(logged, stacked) if stacked else [logged]:
                values = _without_position(self._record(row))
                for name, value in values.items():
                    self._training_values.setdefault(name, []).append(value)
        if pending:
            self._progress.show(values)


class _Rows:
    """A file of JSON rows."""

    def __init__(self, path):
        self._file = GrowingFile(path)

    def write(self, row):
        """Writes a row whose values may be tensors, and returns it with plain numbers.

        Raises:
            NonFiniteValue: a value is NaN or infinite; the row is not written.
        """
        numbers = {
            name: value if isinstance(value, (int, float)) else _number(value)
            for name, value in row.items()
        }
        for name, value in numbers.items():
            if not math.isfinite(value):
                raise NonFiniteValue(
                    f"{name} became {value} at step {row['step']} of epoch {row['epoch']}, and "
                    f"the run stops there: try a smaller --learning-rate"
                )
        self._file.write(json.dumps(numbers).encode() + b"\n")
        return numbers

    def close(self):
        self._file.close()


def _rows_of_stack(row, steps):
    """The rows of ``steps`` steps that were logged as one: a value for each, or one for all."""
    values = {
        name: np.broadcast_to(keras.ops.convert_to_numpy(value), (steps,)).tolist()
        for name, value in _without_position(row).items()
    }
    for index in range(steps):
        step = row["step"] - steps + index + 1
        yield {**row, "step": step, **{name: value[index] for name, value in values.items()}}


def _number(tensor):
    return float(keras.ops.convert_to_numpy(tensor))


def _without_position(row):
    return {name: value for name, value in row.items() if name not in ("epoch", "step")}
