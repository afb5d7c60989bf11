"""Files of commas, as people have them."""

import csv
import gzip
import io

import pytest

from recipes.data import csv_file

CONTENT = 'a,b\n1,x\n\n2,"two\nlines"\n\n\n3,z\n'
COMPRESSED = gzip.compress(CONTENT.encode(), mtime=0)  # the same in every process: names of tests
ROWS = {2: ["1", "x"], 4: ["2", "two\nlines"], 7: ["3", "z"]}  # as a spreadsheet numbers them


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("first", ["", "\ufeff"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rows_have_the_numbers_of_a_spreadsheet(tmp_path, first, end):
    path = write(tmp_path / "a.csv", first + CONTENT.replace("\n", end))
    header, rows = csv_file.read_rows(path)
    assert header == ["a", "b"]
    assert rows == {**ROWS, 4: ["2", f"two{end}lines"]}
    later = write(tmp_path / "b.csv", end + path.read_text("utf-8-sig"))
    assert list(csv_file.read_rows(later)[1]) == [3, 5, 8]


@pytest.mark.parametrize("name", ["a.csv.gz", "A.CSV.GZ", "a.csv"])
def test_gzip_is_known_by_its_content(tmp_path, name):
    path = write(tmp_path / name, gzip.compress(CONTENT.encode()))
    assert csv_file.read_rows(path) == (["a", "b"], ROWS)
    assert csv_file.read_rows(write(path, CONTENT)) == (["a", "b"], ROWS)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "it is empty"),
        ("\n\n", "it is empty"),
        ("1,2\n3,4\n", "its first row has numbers, and must name the columns"),
        ("a,b\n\n1,2\n\n3\n", "row 5 has 1 values, and the first row 2"),
        ('a,b\n"1\n2",2\n3,4,5\n', "row 3 has 3 values, and the first row 2"),
        ("a;b\n1,5;2\n", "its first row 'a;b' has no comma: put commas between columns"),
        ("a\tb\n1\t2\n", r"its first row 'a\tb' has no comma: put commas between columns"),
        ("a,é\n".encode("latin-1"), "it is no text in UTF-8: save it as CSV in UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "it is no text in UTF-8: save it as CSV in UTF-8"),
        (COMPRESSED[:-9], "it is damaged"),
        (COMPRESSED[:-8] + bytes(8), "it is damaged: CRC check failed"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, content, told):
    with pytest.raises(ValueError) as caught:
        csv_file.read_rows(write(tmp_path / "a.csv", content))
    assert type(caught.value) is ValueError
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("id", ["id"]),
        ("id, b", ["id", "b"]),
        ('"id, x",b', ["id, x", "b"]),
        ('""', [""]),
        (",b", ["", "b"]),
    ],
)
def test_names_of_an_option(text, expected):
    assert csv_file.names(text) == expected


@pytest.mark.parametrize("name", ["id", "last, first", "", 'say "no"'])
def test_a_name_as_a_row_has_it_is_read_as_it_was(name):
    assert csv_file.names(f"{csv_file.in_a_row(name)},b") == [name, "b"]
    assert next(csv.reader(io.StringIO(csv_file.in_a_row(name)))) == [name]
    assert csv_file.in_a_row("id") == "id"


@pytest.mark.parametrize("text", ["2020_01_01", "_5", "1_000", "1e_5"])
def test_an_underscore_is_in_no_number(text):
    assert csv_file.number("-5") == -5
    assert csv_file.number(text) != csv_file.number(text)  # NaN
