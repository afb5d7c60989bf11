"""Tables: a row is an example, and one of the columns is to be predicted from the others.

Embedded are tables that the package scikit-learn ships; a file is a .csv or .csv.gz whose first row
names the columns. A part is (numbers float64 (N, columns), categories str (N, columns), target
(N,)): NaN is a number that is missing, "" a category that is. ``Encoding`` makes one row of numbers
of both, by what it saw in the training part.
"""

import math
import shlex
from decimal import Decimal
from statistics import NormalDist

import numpy as np

from recipes.data.csv_file import in_a_row, number, read_rows
from recipes.training.errors import InputError

EMBEDDED = ("breast_cancer", "diabetes", "iris", "wine")
_TEST_FRACTION = 0.2
_FEWEST_ROWS = 20
_MOST_CLASSES = 20  # as many different whole numbers are classes; more are amounts
_MOST_CATEGORIES = 100
_MISSING = {"", "na", "n/a", "nan", "null", "?"}  # as people write that a value is missing
_LARGEST = 1e100  # whose square is a number still
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

        A column is of numbers if most of its values are; else it is of categories. A target of few
        whole numbers is of classes, which are equal where the numbers are: 1, 01 and 1.0.

        Raises:
            ValueError: there is no target, or a row has none, two columns have one name, one has a
                text among numbers, a number that is too large or too many categories, or there are
                too few rows or classes.
        """
        cells, rows = _columns(path)
        for name in (self._target, *self._leave_out):
            if name not in cells or not self._target:  # "" is a column's name, but no --target
                option = "target" if name == self._target else "leave-out"
                raise ValueError(
                    f"it has no column --{option} {name!r}: name one of "
                    f"{', '.join(map(in_a_row, cells))}"
                )
        lost = [row for row, cell in zip(rows, cells[self._target], strict=True) if _missing(cell)]
        if lost:
            raise ValueError(
                f"row {lost[0]} has no {self._target}, which is to be learned: take it out"
            )
        if len(rows) < _FEWEST_ROWS:
            raise ValueError(f"it has {len(rows)} rows of values: give {_FEWEST_ROWS} or more")
        target = self._read_target(cells.pop(self._target), rows)
        for name in self._leave_out:
            cells.pop(name, None)
        columns = {name: _numbers(name, column, rows) for name, column in cells.items()}
        self.numbers = [name for name, column in columns.items() if column is not None]
        self.categories = [name for name in columns if name not in self.numbers]
        for name in self.categories:
            count = len(set(cells[name]))
            if count > _MOST_CATEGORIES:
                raise ValueError(
                    f"column {in_a_row(name)} has {count} different texts, and no more than "
                    f"{_MOST_CATEGORIES} can be categories: "
                    f"--leave-out {shlex.quote(in_a_row(name))}"
                )
        if not columns:
            raise ValueError("no column is left to learn from")
        numbers = [columns[name] for name in self.numbers]
        texts = [cells[name] for name in self.categories]
        return self._split(*_arrays(numbers, texts, len(rows)), target)

    def _read_target(self, column, rows):
        amounts = _numbers(self._target, column, rows)
        whole = amounts is not None and all(each.is_integer() for each in amounts)
        if whole:
            column = [str(int(Decimal(each))) for each in column]
        count = len(set(column if whole or amounts is None else amounts))
        if count == 1:
            raise ValueError(
                f"column {self._target} is {column[0]} in all rows: there is nothing to learn"
            )
        if amounts is not None and (not whole or count > _MOST_CLASSES):
            return np.array(amounts)
        if count > _MOST_CATEGORIES:
            raise ValueError(
                f"column {self._target} has {count} different texts, and more than "
                f"{_MOST_CATEGORIES} are no classes: name another --target"
            )
        self.classes = sorted(set(column), key=int if whole else None)
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
        """Of a loaded ``Table`` and its training part.

        Raises:
            InputError: no column has a value there.
        """
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
        if not quantiles and not any(seen.values()):
            raise InputError(
                f"there is nothing to learn from: {', '.join(seen)} has no value in any row of the "
                f"training part: fill it in, or give other columns"
            )
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
        """(row numbers, inputs) of a file that has the columns that were learned from.

        Raises:
            ValueError: a column is missing, is there twice, or has a text where a number should be.
        """
        learned = [*self.content["numbers"], *self.content["categories"]]
        cells, rows = _columns(path, learned)
        for name in learned:
            if name not in cells:
                raise ValueError(f"it has no column {name}, which the model learned from")
        if not rows:
            raise ValueError("it has no rows of values")
        numbers = [
            _numbers(name, cells[name], rows, always=True) for name in self.content["numbers"]
        ]
        texts = [cells[name] for name in self.content["categories"]]
        return rows, self.inputs(*_arrays(numbers, texts, len(rows)))


def _columns(path, used=None):
    """({name: the cells of a column}, the numbers of the rows) of a file.

    Raises:
        ValueError: two columns have one name, which is one of ``used``, if that is given.
    """
    header, rows = read_rows(path)
    header = [name.strip() for name in header]
    for name in header if used is None else used:
        if header.count(name) > 1:
            raise ValueError(f"its first row has {name!r} twice: give each column its own name")
    cells = {
        name: [row[place].strip() for row in rows.values()] for place, name in enumerate(header)
    }
    return cells, list(rows)


def _arrays(numbers, texts, rows):
    """Columns of numbers and of texts, as a part has them: (rows, columns) each."""
    categories = [["" if _missing(cell) else cell for cell in column] for column in texts]
    return (
        np.array(numbers, "float64").reshape(-1, rows).T,
        np.array(categories, str).reshape(-1, rows).T,
    )


def _missing(cell):
    return cell.lower() in _MISSING


def _numbers(name, column, rows, always=False):
    """A column's numbers, NaN where one is missing; None if it has texts (``always``: an error).

    Raises:
        ValueError: most of it is numbers, and one is none, or is too large to compute with.
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
            f"column {name} has {column[wrong[0]]!r} in row {rows[wrong[0]]}, and numbers "
            f"elsewhere: make it a number, or empty"
        )
    if wrong or (known == 0 and not always):
        return None
    for row, cell, value in zip(rows, column, values, strict=True):
        if abs(value) > _LARGEST:
            raise ValueError(
                f"column {name} has {cell!r} in row {row}, and numbers are at most {_LARGEST:g}, "
                f"with either sign: correct it, or make it empty"
            )
    return values


def _normal(values, quantiles):
    """The place of each value among quantiles, as a standard normal variable has it; NaN: 0."""
    shares = np.linspace(0, 1, len(quantiles))
    # Among equal quantiles the middle one.
    share = (
        np.interp(values, quantiles, shares) + 1 - np.interp(-values, -quantiles[::-1], shares)
    ) / 2
    places = [NormalDist().inv_cdf(each) for each in np.clip(share, 0.001, 0.999)]
    return np.where(np.isnan(values), 0, places)
