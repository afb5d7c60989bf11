"""Words as integers, for networks that look each up in a table."""

import itertools
from collections import Counter

import numpy as np

PADDING = 0  # behind the end of a sequence
UNKNOWN = 1  # a token that the vocabulary does not have


class Vocabulary:
    """The tokens of a training part and their integers, from 2, the most frequent first.

    Args:
        sequences: lists of tokens, such as words or characters. Give the training part alone:
            tokens of the other parts are unknown then, as some of a user's text will be.

    Attributes:
        tokens: what each integer stands for, padding and unknown first.
    """

    def __init__(self, sequences):
        counts = Counter(itertools.chain.from_iterable(sequences))
        # Equally frequent ones by the alphabet: the order of the sequences decides nothing.
        known = sorted(counts, key=lambda token: (-counts[token], token))
        self.tokens = ("<padding>", "<unknown>", *known)
        self._integers = {token: integer for integer, token in enumerate(known, start=2)}

    def __len__(self):
        """Number of integers, those of padding and of the unknown among them."""
        return len(self.tokens)

    def encode(self, sequences, length=None):
        """Lists of tokens -> int32 (N, T); ``length`` as ``pad`` has it."""
        get = self._integers.get
        return pad([[get(token, UNKNOWN) for token in tokens] for tokens in sequences], length)


def pad(sequences, length=None):
    """Lists of integers -> int32 (N, T), cut at their end or filled up with PADDING behind it.

    Args:
        sequences: lists of integers.
        length: T; None: that of the longest list.
    """
    if length is None:
        length = max(map(len, sequences), default=0)
    padded = np.full((len(sequences), length), PADDING, "int32")
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence[:length]
    return padded
