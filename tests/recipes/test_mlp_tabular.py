"""Tables of one's own, from a file to predictions for new rows."""

import json

import numpy as np
import pytest
from sklearn.metrics import root_mean_squared_error
from sklearn.neural_network import MLPClassifier

from recipes import mlp_tabular
from recipes.data import tables
from recipes.data.batches import cut_validation
from recipes.training.saved_run import read_run

COLOURS = ("red", "blue", "green")
WORTH = {"red": 100.0, "blue": 300.0, "green": -200.0}


def rows(count, seed):
    """(size, colour, id, fit, price): both targets take size and colour."""
    random = np.random.default_rng(seed)
    for place in range(count):
        size, colour = random.uniform(0, 100), COLOURS[random.integers(3)]
        fit = "yes" if (size > 50) == (colour == "red") else "no"
        yield f"{size:.3f}", colour, f"n{place}", fit, f"{WORTH[colour] + 5 * size:.2f}"


def write(path, lines, header="size,colour,id,fit,price"):
    path.write_text("\n".join([header, *map(",".join, lines)]) + "\n")
    return path


def trained(recipes, tmp_path, target, epochs):
    path = write(tmp_path / "own.csv", rows(600, seed=0))
    other = "price" if target == "fit" else "fit"
    code, _, errors = recipes(
        "run", "mlp_tabular", "--data-path", path, "--target", target, "--leave-out", f"id,{other}",
        "--epochs", epochs, "--learning-rate", 0.01, "--depth", 2, "--width", 32,
        "--runs", tmp_path,
    )  # fmt: skip
    assert code == 0, errors
    (folder,) = (tmp_path / "mlp_tabular").iterdir()
    return folder


def test_classes_of_a_file_and_of_new_rows(recipes, tmp_path):
    folder = trained(recipes, tmp_path, "fit", 30)
    run = read_run(folder)
    assert run.test["test_accuracy"] > 0.95  # the more frequent class is about half
    assert run.description["data"]["description"].startswith("own.csv: 480 for training and")
    assert list(run.description["pictures"]) == ["confusion.png"]
    assert json.loads((folder / "columns.json").read_text())["classes"] == ["no", "yes"]

    new = list(rows(50, seed=1))
    without_target = write(tmp_path / "new.csv", [each[:2] for each in new], "size,colour")
    code, printed, _ = recipes("predict", folder, without_target)
    assert code == 0
    said = [line.split() for line in printed.splitlines()]
    assert [words[:3] for words in said] == [
        [str(without_target), "row", str(place)] for place in range(2, 52)
    ]
    assert np.mean([words[3] == each[3] for words, each in zip(said, new, strict=True)]) > 0.9
    probabilities = [float(words[index].strip("%)")) for words in said for index in (4, 7)]
    np.testing.assert_allclose(np.add(probabilities[::2], probabilities[1::2]), 100, atol=0.11)


def test_amounts_of_a_file_and_of_new_rows(recipes, tmp_path):
    folder = trained(recipes, tmp_path, "price", 30)
    run = read_run(folder)
    deviation = json.loads((folder / "columns.json").read_text())["standard_deviation"]
    assert run.test["test_rmse"] < 0.1 * deviation
    assert run.test["test_loss"] == pytest.approx((run.test["test_rmse"] / deviation) ** 2)
    assert "test_sklearn_rmse" in run.test
    assert list(run.description["pictures"]) == ["agreement.png"]

    new = list(rows(50, seed=1))
    path = write(tmp_path / "new.csv", new)
    code, printed, _ = recipes("predict", folder, path)
    assert code == 0
    found = [float(line.split()[-1]) for line in printed.splitlines()]
    expected = [float(each[4]) for each in new]
    assert root_mean_squared_error(expected, found) < 0.1 * deviation
    assert mlp_tabular.rmse(np.array(found), np.array(expected)) == pytest.approx(
        root_mean_squared_error(expected, found)
    )


def test_the_baseline_is_scikit_learns_on_the_test_part(recipes, tmp_path):
    run = read_run(trained(recipes, tmp_path, "fit", 1))
    table = tables.Table("iris", "fit", ["id", "price"])
    training, test = table.from_file(tmp_path / "own.csv")
    training, _ = cut_validation(training, 0.1, seed=0)
    encoding = tables.Encoding.fit(table, training)
    theirs = MLPClassifier(random_state=0).fit(encoding.inputs(*training[:2]), training[2])
    expected = np.mean(theirs.predict(encoding.inputs(*test[:2])) == test[2])
    assert run.test["test_sklearn_accuracy"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--target", "prize"], "it has no column --target 'prize': name one of size, colour, id"),
        ([], "it has no column --target '': name one of size, colour, id, fit, price"),
        (["--target", "fit"], "column id has 600 different texts"),
        (["--target", "fit", "--leave-out", "id,hue"], "it has no column --leave-out 'hue'"),
        (["--target", "fit", "--table", "mnist"], "mnist"),
        (["--target", "fit", "--table", "wine"], "leave out --table wine or --data-path"),
        (["--target", "price", "--leave-out", "size,id,colour,fit"], "no column is left to learn"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(recipes, tmp_path, words, told):
    path = write(tmp_path / "own.csv", rows(600, seed=0))
    code, _, errors = recipes(
        "run", "mlp_tabular", "--data-path", path, *words, "--runs", tmp_path / "runs"
    )
    assert code == 2
    (line,) = errors.splitlines()
    assert line.startswith("error: ") and told in line
    assert not list((tmp_path / "runs").glob("*/*"))


def fails_without_a_folder(recipes, runs, *words):
    """The line of an error of a run that is not begun."""
    code, _, errors = recipes("run", "mlp_tabular", *words, "--runs", runs)
    assert code == 2
    (line,) = errors.splitlines()
    assert not list(runs.glob("*/*"))
    return line


@pytest.mark.parametrize("option", ["--target", "--leave-out"])
def test_options_of_a_file_without_one(recipes, tmp_path, option):
    line = fails_without_a_folder(recipes, tmp_path, option, "alcohol", "--table", "wine")
    assert line == f"error: {option} 'alcohol' is for a file: give --data-path, or leave it out"


def test_a_file_whose_only_input_is_empty(recipes, tmp_path):
    path = write(tmp_path / "own.csv", (["", str(place)] for place in range(50)), "colour,price")
    words = ("--data-path", path, "--target", "price")
    line = fails_without_a_folder(recipes, tmp_path / "runs", *words)
    assert line.startswith("error: there is nothing to learn from: colour has no value in any row")


def test_names_with_commas_and_dollars_and_blank_rows(recipes, tmp_path):
    names = {"yes": '"$x^$, y"', "no": "US$ or C$"}
    lines = [[*each[:3], names[each[3]], each[4]] for each in rows(100, seed=0)]
    path = write(tmp_path / "own.csv", lines, ',colour,"id, x",fit,price')
    words = ("--data-path", path, "--target", "fit", "--leave-out", '"id, x",price', "--epochs", 1)
    code, _, errors = recipes("run", "mlp_tabular", *words, "--runs", tmp_path)
    assert code == 0, errors
    (folder,) = (tmp_path / "mlp_tabular").iterdir()
    content = json.loads((folder / "columns.json").read_text())
    assert content["classes"] == ["$x^$, y", "US$ or C$"]
    assert [*content["numbers"], *content["categories"]] == ["", "colour"]

    new = [("", "red", "1", "2"), (), (), ("5", "red", "3", "4")]
    path = write(tmp_path / "new.csv", new, ",colour,note,note")
    code, printed, _ = recipes("predict", folder, path)
    assert code == 0
    assert [line.split("  ")[0] for line in printed.splitlines()] == [
        f"{path} row 2", f"{path} row 5",
    ]  # fmt: skip


def test_bad_new_rows_are_one_line(recipes, tmp_path):
    folder = trained(recipes, tmp_path, "fit", 1)
    for header, line, told in (
        ("size,hue", ("1", "red"), "it has no column colour, which the model learned from"),
        ("size,colour", ("big", "red"), "column size has 'big' in row 2"),
    ):
        path = write(tmp_path / "new.csv", [line], header)
        code, _, errors = recipes("predict", folder, path)
        assert code == 2 and errors.startswith(f"error: cannot read {path}: {told}")
    code, _, errors = recipes("predict", folder, tmp_path / "none.csv")
    assert code == 2 and "none.csv: No such file" in errors
    (folder / "columns.json").unlink()
    code, _, errors = recipes("predict", folder, path)
    assert code == 2 and "has no columns.json" in errors
