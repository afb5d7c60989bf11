"""A text, character by character, for networks that write the next one.

tiny_shakespeare: 40,000 lines of plays (Karpathy 2015, "The Unreasonable Effectiveness of Recurrent
Neural Networks"). Embedded: what Python's ``help()`` says of its keywords and topics, which Python
ships; it differs from one version of Python to the next. A part is one array of characters (N,),
and the parts follow each other in the text.
"""

from pathlib import Path

import numpy as np

from recipes.data import tfds_arrays

NAME = "tiny_shakespeare"
EMBEDDED = "the topics of Python's help"
_SHARES = 0.8, 0.9  # where the validation and the test part of another text begin
_FEWEST = 1000  # characters of a text


def from_tfds():
    """(training, validation, test): 1,003,854, 55,770 and 55,770 characters."""
    parts = tfds_arrays.read(NAME, ("train", "validation", "test"), ("text",))
    return tuple((_characters(text[0].decode("utf-8")),) for (text,) in parts)


def embedded():
    """(training, validation, test): eight, one and one tenth of the characters."""
    from pydoc_data.topics import topics

    return _split("\n".join(topics[name] for name in sorted(topics)))


def from_file(path):
    """(training, validation, test): eight, one and one tenth of the characters.

    Raises:
        ValueError: there are fewer than 1,000 characters.
    """
    text = Path(path).read_text("utf-8-sig")
    if len(text) < _FEWEST:
        raise ValueError(f"it has {len(text)} characters, and needs {_FEWEST:,} or more")
    return _split(text)


def _characters(text):
    return np.array(list(text))


def _split(text):
    first, second = (int(share * len(text)) for share in _SHARES)
    return tuple((_characters(part),) for part in (text[:first], text[first:second], text[second:]))
