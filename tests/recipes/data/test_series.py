import gzip
from pathlib import Path

import numpy as np
import pytest

from recipes.data import series, sources
from recipes.training.errors import InputError

ETT = "date,HUFL,HULL,MUFL,MULL,LUFL,LULL,OT"


def write(path, header, rows):
    text = "\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n"
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, "utf-8")
    return path


def numbered(count, columns):
    """Rows of a date and of numbers, no two of which are equal."""
    return (
        [f"2016-07-01 {row}:00", *(row + 20_000 * column for column in range(columns))]
        for row in range(count)
    )


def lengths(parts):
    return [len(part) for (part,) in parts]


def test_embedded_years_are_there_in_order():
    parts = series.embedded()
    assert lengths(parts) == [216, 31, 62]
    years = np.concatenate([part for (part,) in parts])
    assert years.shape == (309, 1) and years.dtype == "float32"
    np.testing.assert_allclose(years[:3, 0], [5, 11, 16])  # from 1700
    assert 1700 + years.argmax() == 1957 and years.max() == np.float32(190.2)  # the most so far


@pytest.mark.parametrize("name", ["ETTh1.csv", "ETTh1.csv.gz"])
def test_ett_is_split_to_the_row_as_its_paper_splits_it(name, tmp_path):
    parts = series.from_file(write(tmp_path / name, ETT, numbered(17_420, 7)))
    assert lengths(parts) == [12 * 30 * 24, 4 * 30 * 24, 4 * 30 * 24]
    whole = np.concatenate([part for (part,) in parts])
    assert whole.dtype == "float32"
    expected = np.arange(20 * 30 * 24)[:, None] + 20_000 * np.arange(7)
    np.testing.assert_array_equal(whole, expected)


@pytest.mark.parametrize(
    ("header", "count", "expected"),
    [
        (ETT, 17_421, [12_195, 1742, 3484]),
        (ETT.replace("OT", "oil"), 17_420, [12_194, 1742, 3484]),
        (ETT, 100, [70, 10, 20]),
        (ETT, 10, [7, 1, 2]),
    ],
)
def test_other_series_are_split_by_time_at_70_and_80_percent(header, count, expected, tmp_path):
    parts = series.from_file(write(tmp_path / "own.csv", header, numbered(count, 7)))
    assert lengths(parts) == expected
    whole = np.concatenate([part for (part,) in parts])
    np.testing.assert_array_equal(whole[:, 0], np.arange(count))


def test_all_columns_of_numbers_are_taken_and_no_others(tmp_path):
    rows = [(index, f"2020-{index}", index / 4, "dry", -index) for index in range(20)]
    path = write(tmp_path / "own.csv", "\ufeffid,date,rain,note,rain", rows)
    path.write_text(path.read_text("utf-8").replace("\n", "\n\n"), "utf-8")  # empty lines
    whole = np.concatenate([part for (part,) in series.from_file(path)])
    np.testing.assert_array_equal(whole, [(row[0], row[2], row[4]) for row in rows])


def rows_with(row, column, value, count=20):
    rows = [[f"2020-{index}", index, 2 * index] for index in range(count)]
    rows[row][column] = value
    return rows


@pytest.mark.parametrize(
    ("header", "rows", "told"),
    [
        ("date,a,b", rows_with(3, 1, ""), "column a has '' in row 5, which is no number"),
        ("\ufeffa,b", [("NA", 1)] + [(2, 3)] * 20, "column a has 'NA' in row 2"),
        ("date,a,b", rows_with(0, 2, "NA"), "column b has 'NA' in row 2, which is no number"),
        ("date,a,b", rows_with(19, 2, "nan"), "column b has 'nan' in row 21"),
        ("date,a,b", rows_with(4, 2, "inf"), "column b has 'inf' in row 6"),
        ("date,a,b", [(), (), *rows_with(4, 2, "inf")], "column b has 'inf' in row 8"),
        ("date,a,b", rows_with(2, 2, "1,5"), "row 4 has 4 values, and the first row 3"),
        ("date,a,b", rows_with(0, 1, 7, count=9), "it has 9 rows of values, and 10 are too few"),
        ("date,a,b", [], "it has 0 rows"),
        (
            "date,note",
            [("2020_01", "dry")] * 20,
            "no column has numbers: its columns are date, note",
        ),
        ("date;a;b", [("2020-1;1;2",)] * 20, "its first row 'date;a;b' has no comma: put commas"),
        ("1,2", [(3, 4)] * 20, "its first row has numbers, and must name the columns"),
        ("a,b", [(index, 5) for index in range(20)], "column b never changes in the training"),
        ("a,b", [(index, index // 15) for index in range(20)], "column b never changes in the"),
        ("", [], "it is empty"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(header, rows, told, tmp_path):
    path = write(tmp_path / "own.csv", header, rows)
    with pytest.raises(ValueError) as error:
        series.from_file(path)
    assert told in str(error.value)


@pytest.mark.parametrize("cut", [20, -20])
def test_a_damaged_file_is_an_input_error(cut, tmp_path):
    path = write(tmp_path / "own.csv.gz", ETT, numbered(100, 7))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=f"cannot read --data-path {path}: it is damaged"):
        sources.load(series, "auto", str(path))
    path.write_bytes(b"date,a\n")
    with pytest.raises(InputError, match=f"cannot read --data-path {path}"):
        sources.load(series, "auto", str(path))
    damaged = bytearray(write(tmp_path / "own.csv.gz", ETT, numbered(100, 7)).read_bytes())
    damaged[40:60] = bytes(20)
    Path(path).write_bytes(damaged)
    with pytest.raises(InputError, match=f"cannot read --data-path {path}"):
        sources.load(series, "auto", str(path))


def parts_of(*counts, columns=2):
    """Parts whose values tell their row: 0, 1, 2, ... and 1000 more in the second column."""
    whole = np.arange(sum(counts), dtype="float32")[:, None] + 1000 * np.arange(columns)
    ends = np.cumsum(counts)
    return tuple((whole[end - count : end],) for count, end in zip(counts, ends, strict=True))


def rows_of(values):
    """Undoes the standardizing of ``parts_of(40, ...)``, by hand: (N, T, 2) -> rows (N, T)."""
    rows = np.arange(40)
    found = values * rows.std() + rows.mean()
    np.testing.assert_allclose(found[..., 0], found[..., 1], atol=1e-3)
    assert np.abs(found - np.rint(found)).max() < 1e-3
    return np.rint(found[..., 0]).astype(int)


def test_windows_know_what_is_before_them_and_forecast_their_part_alone():
    parts = parts_of(40, 9, 12)
    made = series.windows(parts, lookback=6, horizon=4)
    for (inputs, targets), first, last in zip(made, (6, 40, 49), (39, 48, 60), strict=True):
        assert inputs.dtype == targets.dtype == "float32"
        assert inputs.shape[1:] == (6, 2) and targets.shape[1:] == (4, 2)
        starts = np.arange(first, last - 4 + 2)  # of the targets, which all lie in the part
        np.testing.assert_array_equal(rows_of(targets), starts[:, None] + np.arange(4))
        np.testing.assert_array_equal(rows_of(inputs), starts[:, None] + np.arange(-6, 0))


def test_no_later_value_reaches_the_training_windows_or_their_scale():
    parts = parts_of(40, 9, 12)
    expected = series.windows(parts, 6, 4)[0]
    spoilt = (parts[0], (parts[1][0] * 1e6,), (parts[2][0] - 1e6,))
    for found, array in zip(series.windows(spoilt, 6, 4)[0], expected, strict=True):
        np.testing.assert_array_equal(found, array)


def test_each_series_is_standardized_by_its_training_part():
    generator = np.random.default_rng(0)
    whole = generator.normal([5, -300], [0.1, 40], (200, 2)).astype("float32")
    parts = (whole[:100],), (whole[100:150] + 1,), (whole[150:],)
    (_, targets), _, (_, test) = series.windows(parts, lookback=1, horizon=1)
    values = np.concatenate([(parts[0][0][:1] - whole[:100].mean(0)) / whole[:100].std(0),
                             targets[:, 0]])  # fmt: skip
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(values.std(axis=0), 1, atol=1e-5)
    expected = (whole[150:] - whole[:100].mean(axis=0)) / whole[:100].std(axis=0)
    np.testing.assert_allclose(test[:, 0], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ((9, 9, 9), "too long for the training part of 9 rows"),
        ((40, 3, 9), "too long for the validation part of 3 rows"),
        ((40, 9, 3), "too long for the test part of 3 rows"),
    ],
)
def test_parts_that_are_too_short_for_a_window(counts, told):
    with pytest.raises(InputError, match=f"--lookback 6 and --horizon 4 are {told}"):
        series.windows(parts_of(*counts), 6, 4)
    assert len(series.windows(parts_of(10, 4, 4), 6, 4)[2][0]) == 1
