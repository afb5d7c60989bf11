"""Checkpoints: all that a run needs to go on, bit for bit, after it was killed.

    checkpoints/000007.safetensors    every variable, named by its position
    checkpoints/000007.json           all else, with the checksums of both files
    checkpoints/lock                  held by the process that writes here

A file appears whole or not at all, the second one makes the checkpoint valid, and what is read is
checked before it is used. Nothing in a checkpoint is executed, and no path is taken from one.
"""

import concurrent.futures
import hashlib
import json
import re
from typing import NamedTuple

import filelock
import keras
import numpy as np
import safetensors
from safetensors.numpy import load_file, save

from recipes.training.errors import CannotWrite, InputError, NonFiniteValue
from recipes.training.folder import UNFINISHED, make_subfolder, remove, whole_file

_LARGEST_JSON = 2**26  # bytes; a real one has 100 for each variable


class Damaged(Exception):
    """A checkpoint cannot be used; says why."""


class Checkpoint(NamedTuple):
    """A checkpoint that was found whole.

    Attributes:
        number: its number: a later one has a larger number.
        state: what ``Checkpoints.save`` was given.
        variables: [(path, shape)] of its tensors, paths as ``normalized``.
    """

    number: int
    state: dict
    variables: list


class Checkpoints:
    """The checkpoints of one run folder: the last two, and the best ones that they name.

    They are written by a thread of their own: only copying the variables takes the caller's time.

    Args:
        folder: the run folder.

    Raises:
        InputError: another process has it.
        CannotWrite: nothing can be written there.
    """

    def __init__(self, folder):
        self.folder = make_subfolder(folder / "checkpoints")
        self._lock = filelock.FileLock(self.folder / "lock", blocking=False)
        try:
            self._lock.acquire()
        except filelock.Timeout:
            raise InputError(
                f"another process is running {folder}: wait until it is over, or stop it"
            ) from None
        except OSError as error:
            raise CannotWrite(
                f"cannot write {self._lock.lock_file} ({error.strerror}): make the folder writable"
            ) from error
        self._last = []  # (number, number of the best) of the last two
        self._number = max(self._numbers(), default=0)
        self._writer = concurrent.futures.ThreadPoolExecutor(max_workers=1)
        self._writing = None

    @property
    def next_number(self):
        """The number of the checkpoint that ``save`` writes next."""
        return self._number + 1

    def save(self, variables, state, best=None, sync=lambda: None):
        """Writes a checkpoint, once the one before is written.

        Args:
            variables: keras variables; their values are copied before this returns.
            state: what else to keep, as JSON has it.
            best: number of the best checkpoint, which stays.
            sync: called by the writing thread before the checkpoint becomes valid.

        Raises:
            CannotWrite: the checkpoint before could not be written.
            NonFiniteValue: it held a NaN or an infinite weight, and was not kept.
        """
        self.wait()
        arrays = [_copied(variable) for variable in variables]
        self._number += 1
        self._writing = self._writer.submit(
            self._write, self._number, variables, arrays, state, best, sync
        )

    def wait(self):
        """Returns once the last checkpoint is on the disk; raises as ``save`` does."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def close(self):
        """Ends the thread, once it has written, and lets other processes have the folder."""
        self._writer.shutdown()
        self._lock.release()

    def newest(self, check=lambda state: None):
        """(the newest whole checkpoint or None, [(number, what is wrong)] of newer ones).

        Args:
            check: raises ``Damaged`` if a state cannot be used.

        Raises:
            InputError: there are checkpoints, but none is whole.
        """
        damaged = []
        for number in sorted(self._numbers(), reverse=True):
            try:
                found = self.read(number)
                check(found.state)
            except Damaged as error:
                damaged.append((number, str(error)))
            else:
                self._last = [(number, found.state["best_checkpoint"])]
                return found, damaged
        if damaged:
            number, reason = damaged[0]
            raise InputError(
                f"no checkpoint in {self.folder} can be used; the newest, {number}, {reason}: "
                f"begin a new run, or remove {self.folder} to begin this one again"
            )
        return None, []

    def read(self, number):
        """Reads a ``Checkpoint`` and checks all of it, the tensors too.

        Raises:
            Damaged: it is not what was written, or something is missing.
        """
        tensors, rest = self._paths(number)
        try:
            if rest.stat().st_size > _LARGEST_JSON:
                raise Damaged(f"is damaged: {rest.name} has {rest.stat().st_size} bytes")
            signed = json.loads(rest.read_bytes())
            content = signed["content"]
            if signed["sha256"] != _json_checksum(content):
                raise Damaged(f"is damaged: {rest.name} does not have its checksum")
            variables = [
                (str(path), tuple(map(int, shape))) for path, shape in content["variables"]
            ]
            expected = content["sha256"]
            found = Checkpoint(number, dict(content["state"]), variables)
            if not isinstance(best := found.state["best_checkpoint"], int | None):
                raise ValueError(f"{best!r} is no checkpoint")
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise Damaged(f"is damaged: {rest.name}: {_reason(error)}") from None
        try:
            with open(tensors, "rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                    raise Damaged(f"is damaged: {tensors.name} does not have its checksum")
            with safetensors.safe_open(tensors, "numpy") as file:
                shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118, it is no dict
        except (OSError, ValueError, safetensors.SafetensorError) as error:
            raise Damaged(f"is damaged: {tensors.name}: {_reason(error)}") from None
        if shapes != {str(index): shape for index, (_, shape) in enumerate(variables)}:
            raise Damaged(f"is damaged: {tensors.name} has other tensors than {rest.name} says")
        return found

    def assign(self, checkpoint, variables):
        """Gives variables, in their order, the values of a checkpoint: all or none.

        Integers are cast, which backends keep in other widths.

        Raises:
            InputError: they are not the variables that were saved; says which differs.
        """
        tensors, _ = self._paths(checkpoint.number)
        here = [(normalized(each.path), tuple(each.shape)) for each in variables]
        saved = checkpoint.variables
        for position in range(max(len(here), len(saved))):
            pair = [_told(each[position : position + 1]) for each in (saved, here)]
            if pair[0] != pair[1]:
                raise InputError(
                    f"the code has changed: variable {position} is {pair[0]} in the checkpoint "
                    f"{tensors}, and {pair[1]} now: go back to the code of the run, or begin a "
                    f"new one"
                )
        try:
            arrays = load_file(tensors)
        except (OSError, safetensors.SafetensorError, KeyError) as error:
            raise InputError(f"cannot load {tensors}: {_reason(error)}") from None
        values = [_cast(arrays[str(i)], each, tensors) for i, each in enumerate(variables)]
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    def _write(self, number, variables, arrays, state, best, sync):
        for variable, array in zip(variables, arrays, strict=True):
            if array.dtype.kind != "f" or np.isfinite(array).all():
                continue
            # A buffer may be infinite, such as what masks attention.
            if variable.trainable or np.isnan(array).any():
                raise NonFiniteValue(
                    f"{variable.path} became NaN or infinite by step {state['step']}, and the run "
                    f"stops there: try a smaller --learning-rate"
                )
        tensors, rest = self._paths(number)
        # Not by save_file, which leaves a file of its own behind where it is killed.
        saved = save({str(position): array for position, array in enumerate(arrays)})
        with whole_file(tensors) as path:
            path.write_bytes(saved)
        content = {
            "variables": [(normalized(each.path), tuple(each.shape)) for each in variables],
            "sha256": hashlib.sha256(saved).hexdigest(),
            "state": {**state, "best_checkpoint": best},
        }
        sync()
        with whole_file(rest) as path:
            path.write_text(json.dumps({"sha256": _json_checksum(content), "content": content}))
        self._last = [*self._last[-1:], (number, best)]
        kept = {kept for pair in self._last for kept in pair}
        for path in self.folder.glob("*"):
            found = re.fullmatch(rf"(?:{UNFINISHED})?(\d+)\.(?:json|safetensors)", path.name)
            if found and int(found[1]) not in kept:
                remove(path)

    def _paths(self, number):
        return self.folder / f"{number:06d}.safetensors", self.folder / f"{number:06d}.json"

    def _numbers(self):
        names = (re.fullmatch(r"(\d+)\.json", path.name) for path in self.folder.glob("*.json"))
        return [int(name[1]) for name in names if name]


def normalized(path):
    """A variable's path without the numbers by which Keras tells apart names of a process."""
    return re.sub(r"_\d+(?=[_/]|$)", "", path)


def _copied(variable):
    """The value of a variable that no step changes any more, as NumPy."""
    array = keras.ops.convert_to_numpy(variable.value)
    if not array.flags.owndata:  # a view of the backend's memory
        array = array.copy()
    # NumPy has no bfloat16 of its own; float32 holds all its values.
    return array.astype("float32") if array.dtype.kind == "V" else array


def _cast(array, variable, file):
    if "int" not in variable.dtype:
        return array
    cast = array.astype(variable.dtype)
    if not np.array_equal(cast, array):
        raise InputError(
            f"{variable.path} is {array.tolist()} in {file}, which {variable.dtype} cannot hold: "
            f"resume on the backend of the run"
        )
    return cast


def _told(variables):
    return " ".join(f"{path} of shape {shape}" for path, shape in variables) or "missing"


def _json_checksum(content):
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _reason(error):
    return getattr(error, "strerror", None) or " ".join(f"{type(error).__name__}: {error}".split())
