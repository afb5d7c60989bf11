"""Names, for networks that write a character after the other.

Embedded: the names that people gave to colours (Munroe 2010, "Color Survey Results"): a list that
never changes, so that all versions of the package that ships it have the same. A file has a name a
line, such as first names. A part is one array of texts (N,).
"""

from pathlib import Path

import numpy as np

NAME = "names"
EMBEDDED = "the names of 949 colours that the package matplotlib ships"
_EVERY = 10  # name is one of the test part
_LONGEST = 64  # characters; what is longer is no name


def embedded():
    """(training, test): 855 and 94 names, in alphabetical order."""
    from matplotlib.colors import XKCD_COLORS

    return _split(sorted(name.removeprefix("xkcd:") for name in XKCD_COLORS))


def from_file(path):
    """(training, test): every tenth name is in the test part.

    A name that is there twice counts once, so that no name is in both parts.

    Raises:
        ValueError: there are fewer than ten names, or a line is no text or too long.
    """
    lines = [line.strip() for line in Path(path).read_text("utf-8-sig").splitlines()]
    for number, line in enumerate(lines, start=1):
        if len(line) > _LONGEST:
            raise ValueError(
                f"line {number} has {len(line)} characters, and a name has at most {_LONGEST}"
            )
        if not line.isprintable():
            raise ValueError(f"line {number} is no text: {line!r}")
    names = list(dict.fromkeys(line for line in lines if line))
    if len(names) < _EVERY:
        raise ValueError(f"it has {len(names)} names, a line each, and needs {_EVERY} or more")
    return _split(names)


def _split(names):
    names = np.array(names)
    in_test = np.arange(len(names)) % _EVERY == _EVERY - 1
    return (names[~in_test],), (names[in_test],)
