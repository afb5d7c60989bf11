"""Tables: a row is an example, and one of the columns is to be predicted from the others.

Embedded are tables that the package scikit-learn ships; a file is a .csv or .csv.gz whose first row
names the columns. A part is (numbers float64 (N, columns), categories str (N, columns), target
(N,)): NaN is a number that is missing, "" a category that is. ``Encoding`` makes one row of numbers
of both, by what it saw in the training part.
"""

import math
from collections import Counter
from statistics import NormalDist

import numpy as np

from recipes.data.csv_file import number, read_rows

EMBEDDED = ("breast_cancer", "diabetes", "iris", "wine")
_TEST_FRACTION = 0.2
_FEWEST_ROWS = 20
_MOST_CLASSES = 20  # as many different whole numbers are classes; more are amounts
_MOST_CATEGORIES = 100
_MISSING = {"", "na", "n/a", "nan", "null", "?"}  # as people write that a value is missing
_QUANTILES = 1000


class Table:
    """A table, for ``run.load``. Once it is loaded, it knows its columns.

    Args:
        name: one of ``EMBEDDED``, which is taken where there is no file.
        target: of a file, the column to be predicted.
        leave_out: of a file, the columns that are not used.

    Attributes:
        numbers, categories: the names of the columns that a part has.
        classes: the names of the target's classes; None where it is an amount.
    """

    NAME = "tables"

    def __init__(self, name, target="", leave_out=()):
        self._name = name
        self._target = target
        self._leave_out = leave_out
        self.EMBEDDED = f"the table {name} that the package scikit-learn ships"
        self.numbers = self.categories = self.classes = None

    def embedded(self):
        """(training, test): four fifths and one, at random, always the same."""
        from sklearn import datasets

        table = getattr(datasets, f"load_{self._name}")()
        self.numbers, self.categories = list(table.feature_names), []
        self.classes = (
            None if self._name == "diabetes" else [str(each) for each in table.target_names]
        )
        none = np.empty((len(table.data), 0), "<U1")
        return self._split(table.data.astype("float64"), none, table.target)

    def from_file(self, path):
        """(training, test), cut likewise.

        A column is of numbers if most of its values are; else it is of categories.

        Raises:
            ValueError: there is no target, or a row has none, two columns have one name, one has a
                text among numbers or too many categories, or there are too few rows or classes.
        """
        cells, rows = _columns(path)
        for name in (self._target, *self._leave_out):
            if name not in cells:
                option = "target" if name == self._target else "leave-out"
                raise ValueError(
                    f"it has no column --{option} {name!r}: name one of {', '.join(cells)}"
                )
        lost = [place for place, cell in enumerate(cells[self._target], start=2) if _missing(cell)]
        if lost:
            raise ValueError(
                f"row {lost[0]} has no {self._target}, which is to be learned: take it out"
            )
        if rows < _FEWEST_ROWS:
            raise ValueError(f"it has {rows} rows of values: give {_FEWEST_ROWS} or more")
        target = self._read_target(cells.pop(self._target))
        for name in self._leave_out:
            cells.pop(name, None)
        columns = {name: _numbers(name, column) for name, column in cells.items()}
        self.numbers = [name for name, column in columns.items() if column is not None]
        self.categories = [name for name in columns if name not in self.numbers]
        for name in self.categories:
            count = len(set(cells[name]))
            if count > _MOST_CATEGORIES:
                raise ValueError(
                    f"column {name} has {count} different texts, and no more than "
                    f"{_MOST_CATEGORIES} can be categories: --leave-out {name}"
                )
        if not columns:
            raise ValueError("no column is left to learn from")
        numbers = [columns[name] for name in self.numbers]
        texts = [cells[name] for name in self.categories]
        return self._split(*_arrays(numbers, texts, rows), target)

    def _read_target(self, column):
        amounts = _numbers(self._target, column)
        whole = amounts is not None and all(each.is_integer() for each in amounts)
        if amounts is not None and (not whole or len(set(amounts)) > _MOST_CLASSES):
            return np.array(amounts)
        counted = Counter(column)
        rare = min(counted, key=counted.get)
        if len(counted) == 1:
            raise ValueError(
                f"column {self._target} is {rare} in all rows: there is nothing to learn"
            )
        if len(counted) > _MOST_CATEGORIES:
            raise ValueError(
                f"column {self._target} has {len(counted)} different texts, and more than "
                f"{_MOST_CATEGORIES} are no classes: name another --target"
            )
        self.classes = sorted(counted, key=number) if whole else sorted(counted)
        return np.array([self.classes.index(each) for each in column])

    def _split(self, numbers, categories, target):
        order = np.random.default_rng(0).permutation(len(target))
        cut = round(_TEST_FRACTION * len(order))
        target = target.astype("float64" if self.classes is None else "int32")
        part = numbers, categories, target
        return tuple(
            tuple(each[np.sort(chosen)] for each in part) for chosen in (order[cut:], order[:cut])
        )


class Encoding:
    """Makes a network's inputs of a table's columns, by what was seen in the training part.

    A number becomes the place that it has among those of its column, as a standard normal variable
    would have it, no further out than 3.09 (a quantile transformation, as in Gorishniy et al. 2021,
    arXiv:2106.11959, section 4.3); a missing one 0. A category becomes a column for each that was
    seen, 1 in its own; one that is missing or new has 0 in all.

    Args:
        content: what ``fit`` found: plain lists and dicts, for JSON.
    """

    def __init__(self, content):
        self.content = content

    @classmethod
    def fit(cls, table, training):
        """Of a loaded ``Table`` and its training part."""
        numbers, categories, target = training
        quantiles = {}
        for name, column in zip(table.numbers, numbers.T, strict=True):
            known = column[~np.isnan(column)]
            shares = np.linspace(0, 1, min(_QUANTILES, max(2, len(known))))
            quantiles[name] = np.quantile(known, shares).tolist() if len(known) else [0.0, 0.0]
        seen = {
            name: sorted(set(column) - {""})
            for name, column in zip(table.categories, categories.T, strict=True)
        }
        mean, deviation = (0.0, 1.0) if table.classes else (target.mean(), target.std())
        return cls(
            {
                "numbers": quantiles,
                "categories": seen,
                "classes": table.classes,
                "mean": float(mean),
                "standard_deviation": float(deviation) or 1.0,
            }
        )

    def inputs(self, numbers, categories):
        """(N, columns) of numbers and of categories -> (N, D) float32."""
        columns = [
            _normal(column, np.array(quantiles))
            for column, quantiles in zip(numbers.T, self.content["numbers"].values(), strict=True)
        ]
        for column, seen in zip(categories.T, self.content["categories"].values(), strict=True):
            columns += [column == each for each in seen]
        return np.stack(columns, axis=-1).astype("float32")

    def targets(self, target):
        """(N,) -> classes as they are; amounts (N, 1) float32, standardized."""
        if self.content["classes"]:
            return target
        standardized = (target - self.content["mean"]) / self.content["standard_deviation"]
        return standardized[:, None].astype("float32")

    def amounts(self, outputs):
        """What a network gave for amounts, (N, 1) -> (N,) in the unit of the table."""
        return (
            outputs[:, 0].astype("float64") * self.content["standard_deviation"]
            + self.content["mean"]
        )

    def read(self, path):
        """The inputs of all rows of a file that has the columns that were learned from.

        Raises:
            ValueError: a column is missing, or has a text where a number should be.
        """
        cells, rows = _columns(path)
        for name in (*self.content["numbers"], *self.content["categories"]):
            if name not in cells:
                raise ValueError(f"it has no column {name}, which the model learned from")
        if not rows:
            raise ValueError("it has no rows of values")
        numbers = [_numbers(name, cells[name], always=True) for name in self.content["numbers"]]
        texts = [cells[name] for name in self.content["categories"]]
        return self.inputs(*_arrays(numbers, texts, rows))


def _columns(path):
    """({name: the cells of a column}, the number of rows) of a file."""
    header, rows = read_rows(path)
    header = [name.strip() for name in header]
    for name in header:
        if header.count(name) > 1:
            raise ValueError(f"its first row has {name!r} twice: give each column its own name")
    cells = {name: [row[place].strip() for row in rows] for place, name in enumerate(header)}
    return cells, len(rows)


def _arrays(numbers, texts, rows):
    """Columns of numbers and of texts, as a part has them: (rows, columns) each."""
    categories = [["" if _missing(cell) else cell for cell in column] for column in texts]
    return (
        np.array(numbers, "float64").reshape(-1, rows).T,
        np.array(categories, str).reshape(-1, rows).T,
    )


def _missing(cell):
    return cell.lower() in _MISSING


def _numbers(name, column, always=False):
    """A column's numbers, NaN where one is missing; None if it has texts (``always``: an error).

    Raises:
        ValueError: most of it is numbers, and one is none.
    """
    values = [math.nan if _missing(cell) else number(cell) for cell in column]
    wrong = [
        place
        for place, (cell, value) in enumerate(zip(column, values, strict=True))
        if not _missing(cell) and not math.isfinite(value)
    ]
    known = sum(not _missing(cell) for cell in column)
    if wrong and (always or 2 * len(wrong) < known):
        raise ValueError(
            f"column {name} has {column[wrong[0]]!r} in row {wrong[0] + 2}, and numbers elsewhere: "
            f"make it a number, or empty"
        )
    return None if wrong or (known == 0 and not always) else values


def _normal(values, quantiles):
    """The place of each value among quantiles, as a standard normal variable has it; NaN: 0."""
    shares = np.linspace(0, 1, len(quantiles))
    # Among equal quantiles the middle one.
    share = (
        np.interp(values, quantiles, shares) + 1 - np.interp(-values, -quantiles[::-1], shares)
    ) / 2
    places = [NormalDist().inv_cdf(each) for each in np.clip(share, 0.001, 0.999)]
    return np.where(np.isnan(values), 0, places)
