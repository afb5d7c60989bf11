"""Tables, read and made a network's inputs."""

import gzip
import json

import numpy as np
import pytest
import sklearn.datasets
from scipy import stats
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer

from recipes.data import tables
from recipes.training.errors import InputError

HEADER = "size,colour,age,price"


def write(path, rows, header=HEADER):
    text = "\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def rows(count=40):
    """Each has a size of its own, of which the price is ten times, and one age is missing."""
    return [
        [place, ["red", "blue", "green"][place % 3], "" if place == 7 else place % 5, 10.5 * place]
        for place in range(count)
    ]


def read(path, target="price", leave_out=()):
    table = tables.Table("iris", target, leave_out)
    return table, table.from_file(path)


@pytest.mark.parametrize("name", tables.EMBEDDED)
def test_the_embedded_tables_are_all_of_scikit_learns_rows_once(name):
    theirs = getattr(sklearn.datasets, f"load_{name}")()
    table = tables.Table(name)
    training, test = table.embedded()
    assert len(test[0]) == round(0.2 * len(theirs.data))
    numbers = np.concatenate([training[0], test[0]])
    targets = np.concatenate([training[2], test[2]])
    for found, expected in ((numbers, theirs.data), (targets[:, None], theirs.target[:, None])):
        np.testing.assert_array_equal(
            found[np.lexsort(numbers.T)], expected[np.lexsort(theirs.data.T)]
        )
    assert table.numbers == list(theirs.feature_names) and table.categories == []
    if name == "diabetes":
        assert table.classes is None and targets.dtype == "float64"
    else:
        assert table.classes == list(theirs.target_names) and targets.dtype == "int32"
    assert name in table.EMBEDDED


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_file(tmp_path, name):
    table, parts = read(write(tmp_path / name, rows()))
    assert (table.numbers, table.categories, table.classes) == (["size", "age"], ["colour"], None)
    assert [len(part[0]) for part in parts] == [32, 8]
    for numbers, categories, target in parts:
        np.testing.assert_array_equal(target, 10.5 * numbers[:, 0])
        for size, (age,), (colour,) in zip(numbers[:, 0], numbers[:, 1:], categories, strict=True):
            assert colour == ["red", "blue", "green"][int(size) % 3]
            assert np.isnan(age) if size == 7 else age == size % 5
    sizes = np.concatenate([part[0][:, 0] for part in parts])
    assert sorted(sizes) == list(range(40))
    again = read(write(tmp_path / name, rows()))[1]
    np.testing.assert_array_equal(again[1][0], parts[1][0])
    assert list(parts[1][0][:, 0]) != list(range(32, 40))  # at random


def test_columns_that_are_left_out(tmp_path):
    table, parts = read(write(tmp_path / "a.csv", rows()), leave_out=["age", "colour"])
    assert (table.numbers, table.categories) == (["size"], [])
    assert parts[0][0].shape == (32, 1) and parts[0][1].shape == (32, 0)


def test_texts_and_few_whole_numbers_are_classes(tmp_path):
    path = write(tmp_path / "a.csv", rows())
    table, parts = read(path, "colour")
    assert table.classes == ["blue", "green", "red"]
    for numbers, _, target in parts:
        expected = [["red", "blue", "green"][int(size) % 3] for size in numbers[:, 0]]
        assert [table.classes[label] for label in target] == expected
    grown = [[place, "red", place % 12, place] for place in range(40)]
    table, _ = read(write(tmp_path / "b.csv", grown), "age")
    assert table.classes == [str(age) for age in range(12)]  # 2 is before 10
    table, _ = read(write(tmp_path / "b.csv", grown), "price")
    assert table.classes is None


def test_classes_of_whole_numbers_are_those_that_are_equal(tmp_path):
    spellings = ["0", "1", "1.0", "0.0", "01", "+1", "1e0", "-0", "12", "-3"]
    lines = [[place, spellings[place % 10]] for place in range(40)]
    table, parts = read(write(tmp_path / "a.csv", lines, "size,fit"), "fit")
    assert table.classes == ["-3", "0", "1", "12"]
    for numbers, _, target in parts:
        expected = [float(spellings[int(size) % 10]) for size in numbers[:, 0]]
        assert [float(table.classes[label]) for label in target] == expected
    large = [[place, 2**53 + place % 2] for place in range(40)]  # of floats they are one
    table, _ = read(write(tmp_path / "a.csv", large, "size,fit"), "fit")
    assert table.classes == ["9007199254740992", "9007199254740993"]


def test_classes_of_texts_are_as_they_are_written(tmp_path):
    lines = [[place, ["True", "TRUE", "yes", "1", "1.0"][place % 5]] for place in range(40)]
    table, _ = read(write(tmp_path / "a.csv", lines, "size,fit"), "fit")
    assert table.classes == ["1", "1.0", "TRUE", "True", "yes"]


@pytest.mark.parametrize("text", ["", "NA", "n/a", "N/A", "NaN", "null", "NULL", "?", " "])
def test_how_people_write_that_a_value_is_missing(tmp_path, text):
    lines = [[place, "red", place, 1.5 * place] for place in range(40)]
    lines[7] = [text, text, 7, 1.5]
    table, parts = read(write(tmp_path / "a.csv", lines))
    assert (table.numbers, table.categories) == (["size", "age"], ["colour"])
    for numbers, categories, _ in parts:
        np.testing.assert_array_equal(np.isnan(numbers[:, 0]), numbers[:, 1] == 7)
        np.testing.assert_array_equal(categories[:, 0] == "", numbers[:, 1] == 7)
    lines[7] = [7, "red", 7, text]
    with pytest.raises(ValueError, match="row 9 has no price, which is to be learned"):
        read(write(tmp_path / "a.csv", lines))


def test_a_file_with_a_byte_order_mark(tmp_path):
    path = write(tmp_path / "a.csv", rows(), f"\ufeff{HEADER}")
    assert read(path)[0].numbers == ["size", "age"]


def test_rows_are_named_by_their_numbers_in_the_file(tmp_path):
    def fails(line, message):
        path = write(tmp_path / "a.csv", [*rows(), line])
        first, second, rest = path.read_text().split("\n", 2)
        path.write_text(f'{first}\n{second}\n\n1,"red\nor so",2,3\n\n{rest}')
        with pytest.raises(ValueError, match=message):
            read(path)

    fails(["big", "red", 2, 3], "column size has 'big' in row 45,")
    fails([1, "red", 2, ""], "row 45 has no price")
    fails([1, "red", 2], "row 45 has 3 values")
    fails([1, "red", 2, "-1.7e308"], "column price has '-1.7e308' in row 45,")


def test_columns_of_any_name_can_be_left_out(tmp_path):
    header = ',"last, first",age,price'
    path = write(tmp_path / "a.csv", rows(), header)
    table, _ = read(path, leave_out=["", "last, first"])
    assert table.numbers + table.categories == ["age"]
    with pytest.raises(
        ValueError, match=r"--leave-out 'x': name one of \"\", \"last, first\", age,"
    ):
        read(path, leave_out=["x"])
    with pytest.raises(ValueError, match="it has no column --target '': name one of"):
        read(path, target="")
    named = [[f"n{place}", f"n{place}", 1, 1.5 * place] for place in range(101)]
    path = write(tmp_path / "a.csv", named, header)
    for left_out, option in ((["last, first"], "'\"\"'"), ([""], "'\"last, first\"'")):
        with pytest.raises(ValueError, match=f"can be categories: --leave-out {option}$"):
            read(path, leave_out=left_out)


WRONG = {
    "no target": (rows(), "prize", (), "no column --target 'prize': name one of size, colour, age"),
    "left out": (rows(), "price", ["hue"], "no column --leave-out 'hue': name one of size, colour"),
    "few": (rows(19), "price", (), "it has 19 rows of values: give 20 or more"),
    "no target in a row": (
        [*rows(), [1, "red", 2, "NA"]], "price", (), "row 42 has no price, which is to be learned",
    ),
    "text": (
        [*rows(), ["big", "red", 2, 3]], "price", (),
        "column size has 'big' in row 42, and numbers elsewhere: make it a number, or empty",
    ),
    "text in the target": (
        [*rows(), [1, "red", 2, "3$"]], "price", (), "column price has '3$' in row 42",
    ),
    "infinite": ([*rows(), ["inf", "red", 2, 3]], "price", (), "column size has 'inf' in row 42"),
    "one class": (
        [[each[0], "red", 1, 1] for each in rows()], "colour", (),
        "column colour is red in all rows",
    ),
    "one amount": (
        [[place, "red", 1, 2.5] for place in range(40)], "price", (),
        "column price is 2.5 in all rows: there is nothing to learn",
    ),
    "one whole number": (
        [[place, "red", 1, ["1.0", "1"][place % 2]] for place in range(40)], "price", (),
        "column price is 1 in all rows: there is nothing to learn",
    ),
    "large": (
        [*rows(), ["1.7e308", "red", 2, 3]], "price", (),
        r"column size has '1.7e308' in row 42, and numbers are at most 1e\+100, with either sign",
    ),
    "names": (
        [[each, f"n{each}", 1, 1.5 * each] for each in range(101)], "price", (),
        "column colour has 101 different texts, and no more than 100 can be categories: "
        "--leave-out colour",
    ),
    "classes": (
        [[each, f"n{each}", 1, each] for each in range(101)], "colour", (),
        "column colour has 101 different texts, and more than 100 are no classes: name another",
    ),
    "short": ([*rows(), [1, 2]], "price", (), "row 42 has 2 values, and the first row 4"),
    "nothing": (rows(), "price", ["size", "colour", "age"], "no column is left to learn from"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_in_a_file_is_named(tmp_path, case):
    lines, target, leave_out, message = WRONG[case]
    with pytest.raises(ValueError, match=message.replace("$", r"\$")):
        read(write(tmp_path / "a.csv", lines), target, leave_out)


@pytest.mark.parametrize("header", ["size,age,age,price", "size, age,age,price"])
def test_columns_of_one_name_are_refused(tmp_path, header):
    path = write(tmp_path / "a.csv", [[1, 2, 3, 4]], header)
    with pytest.raises(ValueError, match="its first row has 'age' twice: give each"):
        read(path)


def test_space_around_names_is_none_of_them(tmp_path):
    table, _ = read(write(tmp_path / "a.csv", rows(), "size , colour, age,price"))
    assert table.numbers + table.categories == ["size", "age", "colour"]


def test_numbers_are_placed_as_scikit_learn_places_them():
    values = np.random.default_rng(3).exponential(size=(3000, 1))
    table = tables.Table("iris")
    table.numbers, table.categories = ["a"], []
    none = np.empty((3000, 0), "<U1")
    encoding = tables.Encoding.fit(table, (values, none, values[:, 0]))
    theirs = QuantileTransformer(output_distribution="normal", subsample=None).fit(values)
    new = np.concatenate([values[:500], [[-1], [99]]])
    expected = np.clip(theirs.transform(new), -3.0902323, 3.0902323)
    found = encoding.inputs(new, none[:502])
    assert found.dtype == "float32"
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_equal_numbers_are_in_the_middle_of_their_places():
    counts = [300, 500, 200]
    values = np.repeat([1.0, 2.0, 5.0], counts)[:, None]
    table = tables.Table("iris")
    table.numbers, table.categories = ["a"], []
    encoding = tables.Encoding.fit(table, (values, np.empty((1000, 0), "<U1"), values[:, 0]))
    found = encoding.inputs(np.array([[1.0], [2.0], [5.0]]), np.empty((3, 0), "<U1"))
    expected = stats.norm.ppf([0.15, 0.55, 0.9])
    np.testing.assert_allclose(found[:, 0], expected, atol=0.01)


def test_missing_numbers_are_in_the_middle_and_decide_nothing():
    table = tables.Table("iris")
    table.numbers, table.categories = ["a", "b"], []
    known = np.arange(50.0)
    values = np.stack([np.concatenate([known, [np.nan] * 9]), [np.nan] * 59], axis=1)
    none = np.empty((59, 0), "<U1")
    encoding = tables.Encoding.fit(table, (values, none, np.arange(59.0)))
    found = encoding.inputs(values, none)
    assert (found[50:, 0] == 0).all() and (found[:, 1] == 0).all()
    np.testing.assert_allclose(found[:50, 0], -found[49::-1, 0], atol=1e-6)


def test_categories_have_a_column_each():
    table = tables.Table("iris")
    table.numbers, table.categories = [], ["a", "b"]
    seen = np.array([["x", "k"], ["y", "k"], ["", "l"], ["x", "m"]])
    none = np.empty((4, 0))
    encoding = tables.Encoding.fit(table, (none, seen, np.arange(4.0)))
    new = np.array([["y", "m"], ["z", "k"], ["", "l"]])
    theirs = OneHotEncoder(
        categories=[["x", "y"], ["k", "l", "m"]], handle_unknown="ignore", sparse_output=False
    ).fit(seen[[0, 1, 3]])
    np.testing.assert_array_equal(encoding.inputs(none[:3], new), theirs.transform(new))


@pytest.mark.parametrize("header", ["colour", "colour,hue"])
def test_columns_without_a_value_teach_nothing(tmp_path, header):
    lines = [["NA"] * header.count(",") + ["", place] for place in range(40)]
    table, (training, _) = read(write(tmp_path / "a.csv", lines, f"{header},price"))
    expected = f"nothing to learn from: {header.replace(',', ', ')} has no value in any row"
    with pytest.raises(InputError, match=expected):
        tables.Encoding.fit(table, training)


def test_the_largest_numbers_are_computed_with(tmp_path):
    lines = [[(-1) ** place * 1e100, "red", place, 1e100 * place / 40] for place in range(40)]
    table, (training, _) = read(write(tmp_path / "a.csv", lines))
    encoding = tables.Encoding.fit(table, training)
    inputs, targets = encoding.inputs(*training[:2]), encoding.targets(training[2])
    assert np.isfinite(inputs).all() and targets.std() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(encoding.amounts(targets), training[2], rtol=1e-5, atol=1e95)


def test_amounts_are_standardized_and_back():
    table = tables.Table("diabetes")
    training, _ = table.embedded()
    encoding = tables.Encoding.fit(table, training)
    found = encoding.targets(training[2])
    assert found.shape == (len(training[2]), 1) and found.dtype == "float32"
    assert found.mean() == pytest.approx(0, abs=1e-6) and found.std() == pytest.approx(1, rel=1e-6)
    np.testing.assert_allclose(encoding.amounts(found), training[2], rtol=1e-5)
    classes = tables.Table("iris")
    training, _ = classes.embedded()
    assert tables.Encoding.fit(classes, training).targets(training[2]) is training[2]


def test_a_new_file_is_read_by_the_columns_that_were_learned_from(tmp_path):
    path = write(tmp_path / "a.csv", rows())
    table, (training, _) = read(path)
    fitted = tables.Encoding.fit(table, training)
    encoding = tables.Encoding(json.loads(json.dumps(fitted.content)))
    lines = [["red", 3, 7], ["pink", "", 90]]
    places, found = encoding.read(write(tmp_path / "new.csv", lines, "colour,age,size"))
    assert places == [2, 3]
    expected = fitted.inputs(np.array([[7, 3], [90, np.nan]]), np.array([["red"], ["pink"]]))
    np.testing.assert_array_equal(found, expected)
    assert found.shape == (2, 5)
    for header, line, message in (
        ("colour,size", ["red", 3], "it has no column age, which the model learned from"),
        ("colour,age,size", ["red", 3, "big"], "column size has 'big' in row 2"),
    ):
        with pytest.raises(ValueError, match=message):
            encoding.read(write(tmp_path / "wrong.csv", [line], header))
    more = [[*line, "a", "b"] for line in lines]
    path = write(tmp_path / "new.csv", more, "colour,age,size,note,note")  # which is not used
    np.testing.assert_array_equal(encoding.read(path)[1], expected)
    with pytest.raises(ValueError, match="its first row has 'age' twice"):
        encoding.read(write(tmp_path / "wrong.csv", more, "colour,age,size,age,note"))
    with pytest.raises(ValueError, match="it has no rows of values"):
        encoding.read(write(tmp_path / "empty.csv", [], "colour,age,size"))
