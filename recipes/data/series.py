"""Series in time: numbers, a row a time.

Embedded: the sunspots of each year, which come and go in about eleven years. A file is a .csv or
.csv.gz whose first row names the columns, with the rows in time order, such as ETTh1.csv: load and
oil temperature of a transformer, hour by hour (Zhou et al. 2021, "Informer: Beyond Efficient
Transformer for Long Sequence Time-Series Forecasting", arXiv:2012.07436, section 5.1). A part is
one array of float32 (rows, series); the parts follow each other in time, without a gap.
"""

import numpy as np

from recipes.data import csv_file
from recipes.training.errors import InputError

NAME = "series"
EMBEDDED = "the sunspots of the years 1700 to 2008 that the package statsmodels ships"
# ETTh1 and ETTh2: 12, 4 and 4 months of 30 days. The paper leaves out the rows behind them.
_ETT_COLUMNS = ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]
_ETT_ROWS = 17_420
_ETT_ENDS = (12 * 30 * 24, 16 * 30 * 24, 20 * 30 * 24)
_FEWEST_ROWS = 10  # so that each part has one


def embedded():
    """(training, validation, test): 216, 31 and 62 years, each with its mean sunspot number."""
    from statsmodels.datasets import sunspots

    return _split(sunspots.load().data[["SUNACTIVITY"]].to_numpy("float32"))


def from_file(path):
    """(training, validation, test) of all columns of numbers.

    The parts are the paper's for ETTh1 and ETTh2, otherwise the first 70%, the next 10% and the
    last 20% of the rows.

    Raises:
        ValueError: there is no column of numbers, one has a value that is no number, or never
            changes in the training part, or there are too few rows.
    """
    header, numbered = csv_file.read_rows(path)
    rows, columns = list(numbered.values()), {}
    for place, name in enumerate(header):
        numbers = [csv_file.number(row[place]) for row in rows]
        found = np.isfinite(numbers)
        if found.all():
            columns[name, place] = numbers
        elif found.any():  # else it is a date, or a text
            missing = int(np.argmin(found))
            value, row = rows[missing][place], list(numbered)[missing]
            raise ValueError(f"column {name} has {value!r} in row {row}, which is no number")
    if len(rows) < _FEWEST_ROWS:
        raise ValueError(f"it has {len(rows)} rows of values, and {_FEWEST_ROWS} are too few still")
    if not columns:
        raise ValueError(f"no column has numbers: its columns are {', '.join(header)}")
    values = np.array(list(columns.values()), "float32").T  # (rows, series)
    names = [name for name, _ in columns]
    is_ett = names == _ETT_COLUMNS and len(values) == _ETT_ROWS
    parts = _split(values, _ETT_ENDS if is_ett else None)
    for name, column in zip(names, parts[0][0].T, strict=True):
        if column.min() == column.max():
            raise ValueError(f"column {name} never changes in the training part: leave it out")
    return parts


def windows(parts, lookback, horizon):
    """All windows of each part: (training, validation, test), each (inputs, targets).

    Inputs (N, lookback, series) are what is known, targets (N, horizon, series) what follows it.
    All targets of a part's windows lie in that part; inputs may reach into the one before it. Each
    series is standardized by its mean and standard deviation in the training part.

    Raises:
        InputError: a part is too short for one window.
    """
    training = parts[0][0].astype("float64")
    values = np.concatenate([part for (part,) in parts])
    values = ((values - training.mean(axis=0)) / training.std(axis=0)).astype("float32")
    ends = np.cumsum([len(part) for (part,) in parts])
    starts = [0, *(end - lookback for end in ends[:-1])]
    length = lookback + horizon
    made = []
    names = ("training", "validation", "test")
    for name, (part,), start, end in zip(names, parts, starts, ends, strict=True):
        if end - max(0, start) < length:
            raise InputError(
                f"--lookback {lookback} and --horizon {horizon} are too long for the {name} part "
                f"of {len(part)} rows: give less"
            )
        whole = np.lib.stride_tricks.sliding_window_view(values[start:end], length, axis=0)
        whole = np.ascontiguousarray(whole.swapaxes(1, 2))  # (N, lookback + horizon, series)
        made.append((whole[:, :lookback], whole[:, lookback:]))
    return tuple(made)


def _split(values, ends=None):
    first, second, third = ends or (round(0.7 * len(values)), round(0.8 * len(values)), len(values))
    return (values[:first],), (values[first:second],), (values[second:third],)
