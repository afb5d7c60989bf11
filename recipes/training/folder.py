"""The folder of one run: made once, each file in it whole or absent."""

import contextlib
import errno
import json
import os
from datetime import datetime

from recipes.training.errors import CannotWrite, InputError


def make_folder(runs, recipe, backend_name):
    """Makes ``<runs>/<recipe>/<time>-<backend>``, a folder that was not there before.

    Raises:
        InputError: it cannot be made.
    """
    parent = runs / recipe
    name = f"{datetime.now():%Y%m%d-%H%M%S}-{backend_name}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        attempt, folder = 1, parent / name
        while True:
            try:
                folder.mkdir()
                return folder
            except FileExistsError:  # another run began in this second
                attempt, folder = attempt + 1, parent / f"{name}-{attempt + 1}"
    except OSError as error:
        raise InputError(
            f"cannot write a run folder in {parent} ({error.strerror}): "
            f"choose another place with --runs"
        ) from None


def make_subfolder(path):
    """Makes a folder within a run folder.

    Raises:
        CannotWrite: the disk is full, or the run folder is gone or read-only.
    """
    with _writing(path):
        path.mkdir()
    return path


@contextlib.contextmanager
def whole_file(path):
    """Gives a temporary path beside ``path``, and renames it to ``path`` once it is complete.

    Raises:
        CannotWrite: the disk is full, or the folder is gone or read-only. No file is left.
    """
    temporary = path.with_name(f"unfinished-{path.name}")
    try:
        with _writing(path):
            yield temporary
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_json(path, content):
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


class GrowingFile:
    """A file to which whole records are appended: one that does not fit is not begun.

    Args:
        path: the file, made anew.

    Raises:
        CannotWrite: the disk is full, or the folder is gone or read-only; so does ``write``.
    """

    def __init__(self, path):
        self._path = path
        with _writing(path):
            # Without a buffer, what is written is in the file, and a failure is known at once.
            self._file = open(path, "xb", buffering=0)  # noqa: SIM115, closed by close()

    def write(self, record):
        """Appends bytes, all of them or none."""
        with _writing(self._path):
            status = os.fstat(self._file.fileno())
            if status.st_nlink == 0:  # a file that was removed takes what is written in silence
                raise FileNotFoundError(errno.ENOENT, "it was removed")
            try:
                left = memoryview(record)
                while left:
                    left = left[self._file.write(left) :]
            except OSError:
                self._file.seek(status.st_size)
                self._file.truncate()
                raise

    def close(self):
        self._file.close()


@contextlib.contextmanager
def _writing(path):
    try:
        yield
    except OSError as error:
        if not path.parent.is_dir():
            reason = "the folder was removed while the run was going on"
        else:
            reason = error.strerror or " ".join(str(error).split())
        raise CannotWrite(
            f"cannot write {path} ({reason}): make room, or use another folder"
        ) from error
