"""Reads files of commas, whose first row names the columns."""

import csv
import gzip
import math
import zlib
from pathlib import Path


def read_rows(path):
    """(header, rows) of a .csv or .csv.gz file, lists of texts; rows that are empty are left out.

    Raises:
        ValueError: it is damaged or empty, its first row names no columns, or a row has more values
            than that, or fewer.
    """
    open_text = gzip.open if Path(path).suffix == ".gz" else open
    try:
        with open_text(path, "rt", encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except (EOFError, zlib.error, csv.Error) as error:
        raise ValueError(f"it is damaged: {error}") from None
    if not rows:
        raise ValueError("it is empty")
    header, *rows = rows
    if all(math.isfinite(number(cell)) for cell in header):
        raise ValueError("its first row has numbers, and must name the columns")
    for place, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise ValueError(f"row {place} has {len(row)} values, and the first row {len(header)}")
    return header, rows


def number(text):
    """The number that a text is; NaN where it is none."""
    try:
        return float(text.replace("_", "-"))  # 2020_01_01, which Python takes for a number
    except ValueError:
        return math.nan
