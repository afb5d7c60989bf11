import numpy as np
import pytest

from recipes.data.vocabulary import PADDING, UNKNOWN, Vocabulary, pad

SENTENCES = [["b", "a", "b"], ["c", "b", "a"], ["d"]]


def test_the_most_frequent_come_first_and_equally_frequent_ones_by_the_alphabet():
    vocabulary = Vocabulary(SENTENCES)
    assert vocabulary.tokens == ("<padding>", "<unknown>", "b", "a", "c", "d")
    assert len(vocabulary) == 6
    assert Vocabulary(reversed(SENTENCES)).tokens == vocabulary.tokens


def test_tokens_become_their_places():
    encoded = Vocabulary(SENTENCES).encode([["a", "b"], [], ["c", "x", "d"]])
    assert encoded.dtype == "int32"
    np.testing.assert_array_equal(encoded, [[3, 2, 0], [0, 0, 0], [4, 1, 5]])
    assert (PADDING, UNKNOWN) == (0, 1)


def test_the_names_of_padding_and_the_unknown_are_words_like_others():
    vocabulary = Vocabulary([["<padding>", "<unknown>"]])
    np.testing.assert_array_equal(vocabulary.encode([["<padding>", "<unknown>", "?"]]), [[2, 3, 1]])
    encoded = Vocabulary(SENTENCES).encode([["<padding>", "<unknown>"]])
    np.testing.assert_array_equal(encoded, [[UNKNOWN, UNKNOWN]])


def test_characters_are_tokens_too():
    vocabulary = Vocabulary(["hello"])
    assert vocabulary.tokens[2:] == ("l", "e", "h", "o")
    np.testing.assert_array_equal(vocabulary.encode(["ole!", "h"]), [[5, 2, 3, 1], [4, 0, 0, 0]])


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (None, [[7, 8, 9], [5, 0, 0], [0, 0, 0]]),
        (2, [[7, 8], [5, 0], [0, 0]]),
        (4, [[7, 8, 9, 0], [5, 0, 0, 0], [0, 0, 0, 0]]),
    ],
)
def test_rows_are_cut_at_their_end_and_padded_behind_it(length, expected):
    padded = pad([[7, 8, 9], [5], []], length)
    assert padded.dtype == "int32"
    np.testing.assert_array_equal(padded, expected)
    np.testing.assert_array_equal(
        pad(np.array([[7, 8, 9], [5, 0, 0], [0, 0, 0]]), length), expected
    )
    vocabulary = Vocabulary([["x"]])
    assert vocabulary.encode([["x", "x", "x"]], length).shape == (1, len(expected[0]))


def test_nothing_at_all():
    assert pad([]).shape == (0, 0)
    assert pad([], 3).shape == (0, 3)
    assert Vocabulary([]).tokens == ("<padding>", "<unknown>")
