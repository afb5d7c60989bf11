"""One run of a recipe: its seeds, data, batches, log, pictures and report.

    for epoch in run.epochs(step):
        for batch in run.batches(train):
            run.log(loss=step(*batch))
        run.log(validation_loss=...)
    run.log(test_accuracy=...)

Its folder holds, when the run is over:

    config.json     options, command, versions, device, threads, data source, git commit
    metrics.jsonl   reproducible values only: a row a step, a row an epoch, a last row
    timings.jsonl   seconds and steps a second, a row an epoch, and a last row
    tensorboard/    the same figures for TensorBoard
    checkpoints/    what a run that was killed goes on from
    model.keras     and the recipe's pictures, curves, report.html
"""

import contextlib
import json
import math
import shutil
import statistics
import sys
import time
from datetime import datetime

import keras
import numpy as np

from recipes.data import batches as batching
from recipes.data import sources
from recipes.training.backend import make_deterministic
from recipes.training.checkpoint import Checkpoints, Damaged
from recipes.training.describe import describe, environment
from recipes.training.early_stopping import EarlyStopping
from recipes.training.errors import CannotWrite, InputError, NonFiniteValue
from recipes.training.event_files import EventFiles
from recipes.training.folder import (
    UNFINISHED,
    GrowingFile,
    extent,
    make_folder,
    remove,
    whole_file,
    write_json,
)
from recipes.training.interrupts import Interrupts
from recipes.training.progress import Progress, figures
from recipes.training.report import save_picture, write_report
from recipes.training.resume import differences
from recipes.training.saved_run import read_description, read_rows
from zoo.initial_weights import draw_weights, remembered_initializers, weights_of

VALIDATION_FRACTION = 0.1
_SECONDS_BETWEEN_FETCHES = 0.5
# Where a checkpoint is: the next epoch, its next batch, and how many steps are done.
_POSITION = ("epoch", "batch", "step")
_BEGINNING = {
    "epoch": 1, "batch": 0, "step": 0, "early_stopping": None,
    "seconds": {"run": 0.0, "epoch": 0.0, "training": 0.0},
}  # fmt: skip


class Run:
    """Everything of a run that is not the model, the loss, the step or the evaluation.

    A context manager: leaving it without an error writes the report, and leaving it by Ctrl-C or
    SIGTERM a checkpoint.

    Args:
        recipe: the recipe's name.
        config: its Config, of which ``epochs``, ``batch_size`` and ``seed`` are used here.
        options: the ``Options`` that every recipe takes.
        folder: the folder of a run that was killed and goes on; None begins a new one.

    Raises:
        InputError: the run folder cannot be made, or this run cannot go on: it is over, another
            process has it, or none of its checkpoints can be used.
        CannotWrite: nothing can be written into it; so do all methods that write.
    """

    def __init__(self, recipe, config, options, folder=None):
        self._started = self._epoch_started = time.perf_counter()
        self._recipe = recipe
        self._config = config
        self._options = options
        if options.deterministic:
            make_deterministic()
        self._new = folder is None
        self.folder = make_folder(options.runs, recipe, options.backend) if self._new else folder
        try:
            self._checkpoints = Checkpoints(self.folder)
            try:
                if self._new:
                    self._description = describe(recipe, config, options)
                    self._describe()
                    self._checkpoint = None
                else:
                    self._checkpoint = self._find_checkpoint()
            except BaseException:
                self._checkpoints.close()
                raise
        except CannotWrite:
            if self._new:
                shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self._files = contextlib.ExitStack()
        self._variables = None  # all that the steps move; None before epochs()
        self._progress = None
        # What comes next: a batch of an epoch; and the steps that are done.
        position = self._checkpoint.state if self._checkpoint else _BEGINNING
        self._epoch, self._batch, self._step = (position[name] for name in _POSITION)
        self._seconds = dict(position["seconds"])  # of the processes before
        self._early_stopping = EarlyStopping(
            options.patience, options.min_delta, position["early_stopping"]
        )
        self._row = None  # what log() fills; None before the first step
        # Rows whose values are still on the device, each with its number of steps if stacked.
        self._pending = []
        keras.utils.set_random_seed(config.seed)
        self._settings = contextlib.ExitStack()  # of Keras, for the time of the run
        self._settings.callback(keras.config.set_dtype_policy, keras.config.dtype_policy())
        keras.config.set_dtype_policy(options.precision)
        self._settings.enter_context(remembered_initializers())
        self._interrupts = Interrupts()
        print(f"{recipe} on {options.backend}, {self._environment['device']}", flush=True)
        if not self._new:
            self._tell_where_it_goes_on()

    def load(self, module, path=""):
        """Reads a module of recipes.data: (training, validation, test), each a tuple of arrays.

        Where the data has no validation part of its own, that is cut from the training part by the
        seed. It decides everything; the test part is for one look, at the end.

        Args:
            module: the module.
            path: the recipe's option ``--data-path``, a user's file; "" for none.
        """
        recorded = self._description.get("data")
        parts, source = sources.load(
            module, recorded["source"] if recorded else self._options.data, path
        )
        found = {"name": module.NAME, **source}
        if recorded not in (None, found):
            raise InputError(
                f"the data has changed: the run in {self.folder} began with {recorded}, and "
                f"there is {found} now: bring it back, or begin a new run"
            )
        if recorded is None:
            self._describe(data=found)
        print(f"data: {source['description']}", flush=True)
        if len(parts) == 3:
            return parts
        training, test = parts
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

    def epochs(self, step, *steps):
        """Counts the epochs from 1; what is logged after the batches of one is written there.

        A run that goes on counts from where it was. With ``--patience`` the loop ends early, and
        the weights are those of the best epoch when it is over.

        Args:
            step, steps: all gradient steps of the recipe. A checkpoint holds what they move.
        """
        self._variables = list(
            {id(each): each for moved in (step, *steps) for each in moved.variables}.values()
        )
        self._begin()
        while self._epoch <= self._config.epochs and not self._early_stopping.stopped:
            self._epoch_started = time.perf_counter()
            yield self._epoch
            with self._interrupts.hold():
                self._end_epoch()
        if self._progress is not None:
            self._progress.close()
        if self._options.patience:
            self._take_best()
        self._row = {"epoch": self._epoch - 1, "step": self._step}

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
            self._progress = Progress(self._recipe, self.total_steps(split), self._step)
        self._progress.begin_epoch(f"epoch {self._epoch}/{self._config.epochs}")
        fetched = time.perf_counter()
        with self._interrupts.hold():
            for batch in batching.batches(
                split, self._config.batch_size, self._config.seed, self._epoch, transform, stack,
                self._batch,
            ):  # fmt: skip
                steps = len(batch[0]) if stack else 1
                self._row = {"epoch": self._epoch, "step": self._step + steps}
                self._between_steps = False
                yield batch
                self._between_steps = True
                self._step += steps
                self._batch += steps
                self._pending.append((self._row, steps if stack else None))
                self._progress.step(steps)
                now = time.perf_counter()
                if now - self._saved > self._options.checkpoint_seconds:
                    self._save_checkpoint()
                elif now - fetched > _SECONDS_BETWEEN_FETCHES:
                    self._write_pending()
                    fetched = now
                self._interrupts.check()
            self._write_pending()
        self._training_seconds += self._progress.end_training()
        self._row = {"epoch": self._epoch, "step": self._step}
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

    def verdict(self, statement, holds, measured):
        """Says whether a statement holds here: prints it, and puts it into the report.

        Args:
            statement: a sentence, such as "Dropout narrows the gap between training and test".
            holds: whether the figures bear it out; None where they cannot be measured here.
            measured: the figures and the threshold, or why they cannot be measured: a phrase.
        """
        verdict = "not measured" if holds is None else "holds" if holds else "does not hold"
        found = {"verdict": verdict, "measured": measured}
        self._describe(verdicts={**self._description.get("verdicts", {}), statement: found})
        print(f"{verdict}: {statement} ({measured})", flush=True)

    def __enter__(self):
        self._interrupts.__enter__()
        return self

    def __exit__(self, kind, error, traceback):
        if self._progress is not None:
            self._progress.close()
        interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        try:
            if kind is None:
                self._finish()
            elif interrupted and self._variables is not None:
                if self._between_steps:
                    self._save_checkpoint()
                    self._checkpoints.wait()
                else:
                    self._write_pending()
        except KeyboardInterrupt:  # while the report was written, say
            interrupted = True
            raise
        finally:
            self._interrupts.__exit__()
            self._settings.close()
            self._checkpoints.close()  # which may be writing, and then needs the files
            self._files.close()
            if interrupted:
                print(f"it goes on with: python -m recipes resume {self.folder}", file=sys.stderr)
        if self._new and self._step == 0 and isinstance(error, (InputError, CannotWrite)):
            # Nothing has been trained: leave nothing behind.
            shutil.rmtree(self.folder, ignore_errors=True)

    def _finish(self):
        test = _without_position(self._record(self._row))
        self._timings.write({"seconds": round(self._elapsed(), 3)})
        self._checkpoints.wait()
        report = write_report(self.folder)
        self._describe(finished=_now())
        print(f"{figures(test)}  {self._elapsed():.0f} s in all")
        print(f"report: {report}")
        print(f"run folder: {self.folder}", flush=True)

    def _describe(self, **more):
        self._description |= more
        write_json(self.folder / "config.json", self._description)

    @property
    def _environment(self):
        """The last one that the run had."""
        return [self._description, *self._description.get("resumed", ())][-1]

    def _elapsed(self):
        """Seconds of the run, those of the processes before included."""
        return self._seconds["run"] + time.perf_counter() - self._started

    def _find_checkpoint(self):
        """The checkpoint to go on from; None starts again at the first step."""
        self._description = read_description(self.folder)
        if "finished" in self._description:
            raise InputError(
                f"the run in {self.folder} is over since {self._description['finished']}: its "
                f"report is {self.folder / 'report.html'}; begin a new run to train more"
            )
        found, damaged = self._checkpoints.newest(self._check_state)
        for number, reason in damaged:
            print(f"checkpoint {number} {reason}: the one before is used", file=sys.stderr)
        return found

    def _check_state(self, state):
        """Raises ``Damaged`` if a checkpoint does not belong here, or the rows before it do not."""
        try:
            theirs, ours = (
                {"recipe": each["recipe"], **each["options"]} for each in (state, self._description)
            )
            differ = sorted(
                name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name)
            )
            if differ:
                told = (f"{name} is {theirs.get(name)}, not {ours.get(name)}" for name in differ)
                raise Damaged(f"is of another run: {'; '.join(told)}")
            _check_numbers(state)
            for name in ("metrics.jsonl", "timings.jsonl"):
                size, checksum = state["files"][name]
                if extent(self.folder / name, size) != (size, checksum):
                    raise Damaged(f"does not fit {name}, whose first {size} bytes have changed")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Damaged(f"is damaged: {type(error).__name__}: {error}") from None

    def _tell_where_it_goes_on(self):
        now = {"backend": self._options.backend, **environment(self._options.deterministic)}
        before = self._environment
        changed = differences(before, now)
        old = before.get("backend", self._description["options"]["backend"])
        if old != now["backend"]:
            changed.insert(0, f"backend was {old}, is {now['backend']}")
        if not now["repeatable"]:
            changed.append("operations of this GPU do not repeat to the bit (--deterministic)")
        self._resumed = {
            "time": _now(), "epoch": self._epoch, "step": self._step, **now, "differences": changed,
        }  # fmt: skip
        if self._checkpoint:
            epoch = self._epoch if self._batch else self._epoch - 1
            print(f"goes on after step {self._step} of epoch {epoch}", flush=True)
        else:
            print("starts again at step 0: there is no checkpoint yet", flush=True)
        if changed:
            print(f"what follows may differ in the last bits: {'; '.join(changed)}", flush=True)

    def _begin(self):
        """Takes up the checkpoint, if there is one, and opens the files where it ends."""
        files, events = {}, {}
        if self._checkpoint:
            self._checkpoints.assign(self._checkpoint, self._variables)
            files, events = self._checkpoint.state["files"], self._checkpoint.state["events"]

        def kept(name):
            return None if self._new else files.get(name, (0, 0))[0]

        self._metrics = _Rows(self.folder / "metrics.jsonl", kept("metrics.jsonl"))
        self._files.callback(self._metrics.close)
        self._timings = _Rows(self.folder / "timings.jsonl", kept("timings.jsonl"))
        self._files.callback(self._timings.close)
        self._events = EventFiles(self.folder / "tensorboard", events)
        self._files.callback(self._events.close)
        self._training_values = {}  # name: the values of this epoch's steps
        self._training_seconds = self._seconds["training"]
        self._between_steps = True  # and not within one, which may have moved half of the weights
        self._saved = time.perf_counter()
        if not self._new:
            for path in self.folder.glob(f"{UNFINISHED}*"):
                remove(path)
            for row in read_rows(self.folder / "metrics.jsonl"):
                if row["epoch"] == self._epoch:
                    self._keep_training_values(row)
            self._describe(resumed=[*self._description.get("resumed", ()), self._resumed])

    def _end_epoch(self):
        seconds = self._seconds["epoch"] + time.perf_counter() - self._epoch_started
        row = self._record(self._row)
        self._timings.write(
            {
                "epoch": self._epoch,
                "seconds": round(seconds, 3),
                "training_seconds": round(self._training_seconds, 3),
                "steps_per_second": round(self._batch / self._training_seconds, 3),
            }
        )
        self._progress.end_epoch(_without_position(row), seconds)
        if "validation_loss" in row:
            self._early_stopping.update(
                self._epoch, row["validation_loss"], checkpoint=self._checkpoints.next_number
            )
        elif self._options.patience:
            raise InputError(
                f"--patience {self._options.patience} watches the validation loss, which "
                f"{self._recipe} does not have: leave the option out"
            )
        self._training_values = {}
        self._seconds |= {"epoch": 0.0, "training": 0.0}
        self._training_seconds = 0.0
        self._epoch_started = time.perf_counter()
        self._epoch, self._batch = self._epoch + 1, 0
        self._save_checkpoint()

    def _save_checkpoint(self):
        """Begins to write a checkpoint of this moment; what was logged before it is finite."""
        self._write_pending()
        now = time.perf_counter()
        best = self._early_stopping.best
        state = {
            "recipe": self._recipe,
            "options": self._description["options"],
            **{name: getattr(self, f"_{name}") for name in _POSITION},
            "early_stopping": self._early_stopping.state,
            "files": {
                "metrics.jsonl": self._metrics.extent,
                "timings.jsonl": self._timings.extent,
            },
            "events": self._events.sizes.copy(),
            "seconds": {
                "run": self._elapsed(),
                "epoch": self._seconds["epoch"] + now - self._epoch_started,
                "training": self._training_seconds
                + (self._progress.training_seconds() if self._progress else 0.0),
            },
        }
        self._checkpoints.save(
            self._variables, state, best=best["checkpoint"] if best else None, sync=self._sync
        )
        self._saved = time.perf_counter()

    def _sync(self):
        self._metrics.sync()
        self._timings.sync()

    def _take_best(self):
        """Gives the model the weights of the best epoch."""
        self._checkpoints.wait()
        best = self._early_stopping.best
        try:
            self._checkpoints.assign(self._checkpoints.read(best["checkpoint"]), self._variables)
        except Damaged as error:
            raise InputError(
                f"the weights of the best epoch, {best['epoch']}, are lost: checkpoint "
                f"{best['checkpoint']} {error}; begin a new run"
            ) from None
        kept = {name: best[name] for name in ("epoch", "validation_loss")}
        self._describe(best=kept)
        print(f"the weights are those of epoch {best['epoch']}, the best: {figures(kept)}")

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
                self._keep_training_values(values)
        if pending:
            self._progress.show(values)

    def _keep_training_values(self, row):
        for name, value in _without_position(row).items():
            self._training_values.setdefault(name, []).append(value)


class _Rows:
    """A file of JSON rows."""

    def __init__(self, path, kept):
        self._file = GrowingFile(path, kept)
        self.sync, self.close = self._file.sync, self._file.close

    @property
    def extent(self):
        """(bytes, CRC-32) of what was written."""
        return self._file.extent

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


def _rows_of_stack(row, steps):
    """The rows of ``steps`` steps that were logged as one: a value for each, or one for all."""
    values = {
        name: np.broadcast_to(keras.ops.convert_to_numpy(value), (steps,)).tolist()
        for name, value in _without_position(row).items()
    }
    for index in range(steps):
        step = row["step"] - steps + index + 1
        yield {**row, "step": step, **{name: value[index] for name, value in values.items()}}


def _check_numbers(state):
    """Raises ``ValueError`` if one is none, of all that a run goes on counting with."""
    stopping = state["early_stopping"]
    best = stopping["best"]
    if best is None:
        best = {"epoch": 0, "validation_loss": 0.0, "checkpoint": 0}
    counts = [
        *(state[name] for name in _POSITION), *state["events"].values(),
        stopping["waited"], best["epoch"], best["checkpoint"],
    ]  # fmt: skip
    for each in counts:
        if type(each) is not int or each < 0:
            raise ValueError(f"{each!r} is no count")
    seconds = [state["seconds"][name] for name in _BEGINNING["seconds"]]
    for each in [*seconds, best["validation_loss"]]:
        if type(each) not in (int, float):
            raise ValueError(f"{each!r} is no number")


def _now():
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _number(tensor):
    return float(keras.ops.convert_to_numpy(tensor))


def _without_position(row):
    return {name: value for name, value in row.items() if name not in ("epoch", "step")}
