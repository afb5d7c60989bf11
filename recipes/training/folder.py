"""The folder of one run: made once, each file in it whole or absent."""

import contextlib
import errno
import json
import os
import zlib
from datetime import datetime

from recipes.training.errors import CannotWrite, InputError

UNFINISHED = "unfinished-"  # how the name of a file begins that is being written


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
    """Makes a folder within a run folder, if it is not there.

    Raises:
        CannotWrite: the disk is full, or the run folder is gone or read-only.
    """
    with _writing(path):
        path.mkdir(exist_ok=True)
    return path


def remove(path):
    """Removes a file.

    Raises:
        CannotWrite: the folder is read-only.
    """
    with _writing(path):
        path.unlink(missing_ok=True)


def cut(path, size):
    """Takes away what a file has behind its first ``size`` bytes.

    Raises:
        CannotWrite: the file is read-only.
    """
    with _writing(path):
        os.truncate(path, size)


@contextlib.contextmanager
def whole_file(path):
    """Gives a temporary path beside ``path``, and renames it to ``path`` once it is complete.

    It is on the disk then, also if the power fails.

    Raises:
        CannotWrite: the disk is full, or the folder is gone or read-only. No file is left.
    """
    temporary = path.with_name(f"{UNFINISHED}{path.name}")
    try:
        with _writing(path):
            yield temporary
            _sync(temporary)
            os.replace(temporary, path)
            if os.name == "posix":  # elsewhere a folder cannot be opened
                _sync(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_json(path, content):
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def extent(path, size=None):
    """(bytes, CRC-32) of a file, or of its first ``size`` bytes; None if it has not so many."""
    try:
        with open(path, "rb") as file:
            content = file.read() if size is None else file.read(size)
    except FileNotFoundError:
        content = b""
    return (len(content), zlib.crc32(content)) if size in (None, len(content)) else None


class GrowingFile:
    """A file to which whole records are appended: one that does not fit is not begun.

    Args:
        path: the file.
        kept: bytes of an old file that stay, those behind them go; None: the file is made anew,
            and must not be there.

    Raises:
        CannotWrite: the disk is full, or the folder is gone or read-only; so does ``write``.
    """

    def __init__(self, path, kept=None):
        self._path = path
        with _writing(path):
            # Without a buffer, what is written is in the file, and a failure is known at once.
            if kept is None:
                self._file = open(path, "xb", buffering=0)  # noqa: SIM115, closed by close()
            else:
                self._file = open(path, "ab", buffering=0)  # noqa: SIM115
                self._file.truncate(kept)
        self.extent = extent(path)  # of what was written

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
        size, checksum = self.extent
        self.extent = size + len(record), zlib.crc32(record, checksum)

    def sync(self):
        """Returns once what was written is on the disk, also if the power fails."""
        with _writing(self._path):
            os.fsync(self._file.fileno())

    def close(self):
        self._file.close()


def _sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
