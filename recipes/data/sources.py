"""Decides where a recipe's data comes from."""

import zlib
from pathlib import Path

from recipes.data.tfds_arrays import NotPrepared
from recipes.training.errors import InputError


def load(module, choice, path=""):
    """Reads a data set: (parts, source).

    Args:
        module: a module of recipes.data with ``embedded``, ``from_tfds`` if TFDS has it, and
            ``from_file`` if users may bring theirs. Each returns the training and the test part,
            or, where the data set has its own validation part, that between them.
        choice: "tfds", "embedded", or "auto": tfds where it is prepared or can be, else embedded.
        path: a user's file, which is taken instead; "" for none.

    Returns:
        The parts, and {"source": "tfds", "embedded" or "file", "description": one sentence}; of a
        file also its "checksum".

    Raises:
        InputError: ``choice`` is "tfds" and it cannot be prepared, what is prepared is damaged, or
            the file cannot be read.
    """
    if path:
        return _from_file(module, choice, path)
    has_tfds = hasattr(module, "from_tfds")
    if choice == "tfds" and not has_tfds:
        raise InputError(f"TFDS has no {module.NAME}: leave --data out, or pass --data embedded")
    reason = ""
    if choice != "embedded" and has_tfds:
        try:
            parts = module.from_tfds()
            return parts, _source("tfds", f"{module.NAME} from TFDS", parts)
        except NotPrepared as missing:
            if choice == "tfds":
                raise InputError(
                    f"{missing}: set TFDS_DATA_DIR to a folder where it is or can be prepared, or "
                    f"pass --data embedded"
                ) from None
            reason = f", because {missing}"
    parts = module.embedded()
    return parts, _source("embedded", f"{module.EMBEDDED}{reason}", parts)


def _from_file(module, choice, path):
    if choice not in ("auto", "file"):  # file: of a run that goes on
        raise InputError(f"leave out --data {choice} or --data-path {path}: only one can be")
    try:
        checksum = _checksum(Path(path))
        parts = module.from_file(path)
    except (OSError, ValueError) as error:  # of which one is that a text is not UTF-8
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise InputError(f"cannot read --data-path {path}: {reason}") from None
    return parts, {**_source("file", Path(path).name, parts), "checksum": checksum}


def _checksum(path):
    """Of a file, or of all files in a folder and their names."""
    if path.is_file():
        return f"{zlib.crc32(path.read_bytes()):08x}"
    checksum = 0
    for file in sorted(each for each in path.rglob("*") if each.is_file()):
        checksum = zlib.crc32(str(file.relative_to(path)).encode(), checksum)
        checksum = zlib.crc32(file.read_bytes(), checksum)
    return f"{checksum:08x}"


def _source(source, description, parts):
    names = ["training", "validation", "the test"]
    if len(parts) == 2:
        names = ["training and validation", "the test"]
    counts = ", ".join(
        f"{len(part[0]):,} for {name}" for part, name in zip(parts, names, strict=True)
    )
    return {"source": source, "description": f"{description}: {counts}"}
