import zlib

import numpy as np
import pytest

from recipes.data import names


def test_embedded_names_are_the_same_everywhere():
    (train,), (test,) = names.embedded()
    assert len(train) == 855 and len(test) == 94
    whole = sorted([*train, *test])
    assert whole == sorted(set(whole)) and whole[:3] == ["acid green", "adobe", "algae"]
    assert set("".join(whole)) == set(" '/abcdefghijklmnopqrstuvwxyz")
    assert zlib.crc32("\n".join(whole).encode()) == 0x2E36C74E
    assert test[0] == whole[9] and test[-1] == whole[939]


def test_every_tenth_name_of_a_file_is_in_the_test_part(tmp_path):
    path = tmp_path / "names.txt"
    lines = [f"name {number}" for number in range(25)]
    path.write_bytes("\ufeff".encode() + "\r\n".join(lines).encode())
    (train,), (test,) = names.from_file(path)
    np.testing.assert_array_equal(test, [lines[9], lines[19]])
    np.testing.assert_array_equal(train, lines[:9] + lines[10:19] + lines[20:])


def test_a_name_counts_once_and_without_the_spaces_around_it(tmp_path):
    path = tmp_path / "names.txt"
    lines = ["  zoë ", "", "Zoë", *map(str, range(8)), "zoë", "   ", "li"]
    path.write_text("\n".join(lines), "utf-8")
    (train,), (test,) = names.from_file(path)
    np.testing.assert_array_equal(train, ["zoë", "Zoë", *map(str, range(7)), "li"])
    np.testing.assert_array_equal(test, ["7"])


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "it has 0 names, a line each, and needs 10 or more"),
        ([*"abcdefghi", "a"], "it has 9 names"),
        ([*"abcdefghij", "k" * 65], "line 11 has 65 characters, and a name has at most 64"),
        ([*"abcdefghij", "k\tl"], r"line 11 is no text: 'k\tl'"),
        ([*"abcdefghij", "k\0l"], r"line 11 is no text: 'k\x00l'"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(lines, told, tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("\n".join(lines), "utf-8")
    with pytest.raises(ValueError) as error:
        names.from_file(path)
    assert told in str(error.value)


def test_the_shortest_file(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("\n".join([*"abcdefghi", "j" * 64]), "utf-8")
    (train,), (test,) = names.from_file(path)
    assert len(train) == 9 and test[0] == "j" * 64
