"""Reads files of commas, whose first row names the columns."""

import csv
import gzip
import io
import math
import zlib


def read_rows(path):
    """(header, {number: row}): lists of texts, numbered as a spreadsheet does, empty rows too.

    Raises:
        ValueError: it is damaged, empty or not in UTF-8, its first row names no columns or has no
            commas, or a row has more values than that, or fewer.
    """
    with open(path, "rb") as file:
        open_text = gzip.open if file.read(2) == b"\x1f\x8b" else open
    try:
        with open_text(path, "rt", encoding="utf-8-sig", newline="") as file:
            rows = {number: row for number, row in enumerate(csv.reader(file), start=1) if row}
    except UnicodeDecodeError:
        raise ValueError("it is no text in UTF-8: save it as CSV in UTF-8") from None
    except (EOFError, gzip.BadGzipFile, zlib.error, csv.Error) as error:
        raise ValueError(f"it is damaged: {error}") from None
    if not rows:
        raise ValueError("it is empty")
    header = rows.pop(next(iter(rows)))
    if len(header) == 1 and any(separator in header[0] for separator in ";\t"):
        raise ValueError(f"its first row {header[0]!r} has no comma: put commas between columns")
    if all(math.isfinite(number(cell)) for cell in header):
        raise ValueError("its first row has numbers, and must name the columns")
    for place, row in rows.items():
        if len(row) != len(header):
            raise ValueError(f"row {place} has {len(row)} values, and the first row {len(header)}")
    return header, rows


def names(text):
    """The names that a row has, without space around them: 'a, "b, c"' -> ["a", "b, c"]."""
    return [name.strip() for row in csv.reader([text], skipinitialspace=True) for name in row]


def in_a_row(name):
    """A name as a row has it: in quotes if it is empty or has a comma."""
    row = io.StringIO()
    csv.writer(row, lineterminator="").writerow([name])
    return row.getvalue()


def number(text):
    """The number that a text is; NaN where it is none."""
    try:
        return math.nan if "_" in text else float(text)  # 2020_01_01 is a number for Python
    except ValueError:
        return math.nan
