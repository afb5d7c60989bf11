"""Reports are written from run folders alone, and show what these hold."""

import io
import re
import shutil

import pytest

from recipes.training import plots
from recipes.training.errors import CannotWrite, InputError
from recipes.training.report import save_picture, write_comparison, write_report
from recipes.training.saved_run import read_run
from tests import toy_run
from tests.full_disk import files_end_at, read_only, writable_folder
from tests.page import Page, text

CURVES = {"curve_loss.png", "curve_accuracy.png"}


def png(figure):
    memory = io.BytesIO()
    figure.savefig(memory, format="png", dpi=200, bbox_inches="tight")
    return memory.getvalue()


def curves(runs):
    """What a page must show: [(heading, caption, PNG)]."""
    return [
        ("Curves", f"{quantity.capitalize()} over the steps.", png(figure))
        for quantity, figure in plots.curves(runs).items()
    ]


def needs_nothing_but_itself(html):
    """Nothing but pictures that it holds has an address, and nothing else is fetched."""
    rest = re.sub(r'src="data:image/png;base64,[\w+/=]*"', "", html)
    outside = r"(src|href|data|action)\w*\s*=|//|@import|url\(|<(script|link|iframe|base|object)"
    return not re.search(outside, rest)


def epochs_table(page):
    return page.tables()[0]


def rows(page):
    """{name: value} of the table of options and versions."""
    return dict(page.tables()[-1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = toy_run.write(tmp_path_factory.mktemp("runs") / "20260101-120000-jax")
    assert write_report(str(folder)) == folder / "report.html"
    return folder


@pytest.fixture(scope="module")
def html(folder):
    return (folder / "report.html").read_text("utf-8")


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def report(folder, **changes):
    """The page of another run."""
    return Page(write_report(toy_run.write(folder, **changes)).read_text("utf-8"))


def test_a_report_is_one_page_that_needs_nothing_but_itself(html, page):
    assert html.startswith("<!DOCTYPE html>\n<html")
    assert needs_nothing_but_itself(html)
    assert page.texts("title") == ["toy/20260101-120000-jax"]
    assert page.texts("h1") == ["toy"]
    assert "color-scheme: light dark" in html
    assert [tag.get("name") for tag in page.root.iter("meta")] == [None, "viewport"]
    for table in page.tables():
        assert len({len(row) for row in table}) == 1


def test_a_report_begins_with_what_ran_where_and_when(page):
    assert page.texts("p")[0] == (
        "jax on a <processor>, 2026-01-01 12:00:00+00:00, took 01:05, 4.0 steps a second, "
        "421,930 parameters."
    )
    assert page.texts("p")[1].startswith("Data: ten <numbers>. Validation is cut from")
    assert not page.texts("strong")


def test_a_report_shows_the_test_figures(page):
    assert page.texts("dt") == ["test accuracy", "test loss"]
    assert page.texts("dd") == ["99.21%", "0.01235"]


def test_a_report_shows_curves_and_the_recipes_pictures_in_its_order(folder, page):
    expected = curves({"toy/run": read_run(folder)})
    assert [caption for _, caption, _ in expected] == [
        "Loss over the steps.", "Accuracy over the steps.",
    ]  # fmt: skip
    assert page.pictures() == [
        *expected,
        ("Test", "Wrong & <sure>.", toy_run.PICTURES["second.png"]),
        ("Test", "Numbers.", toy_run.PICTURES["first.png"]),
    ]
    # The curves are files, too.
    assert [(folder / name).read_bytes() for name in ("curve_loss.png", "curve_accuracy.png")] == [
        content for _, _, content in expected
    ]
    assert {path.name for path in folder.iterdir()} == CURVES | {
        "config.json", "metrics.jsonl", "timings.jsonl", "first.png", "second.png", "report.html",
    }  # fmt: skip


def test_a_report_shows_each_epoch(page):
    assert epochs_table(page) == [
        ["epoch", "step", "training loss", "validation loss", "validation accuracy"],
        ["1", "2", "3", "3.5", "50.00%"],
        ["2", "4", "0.75", "1.5", "87.50%"],
    ]


def test_a_report_shows_options_versions_machine_and_commit(page):
    assert rows(page) == {
        "batch size": "4", "seed": "0", "backend": "jax", "runs": "a <folder>",
        "python": "3.11.7", "keras": "3.15.1", "device": "a <processor>", "threads": "2",
        "git commit": "0123456789ab and changes",
    }  # fmt: skip


def test_a_report_shows_the_command_and_how_to_load_the_model(page):
    command, load = [element.text for element in page.root.iter("pre")]
    assert command == toy_run.DESCRIPTION["command"]
    assert load.splitlines()[0] == "import keras, custom_layers"
    assert 'keras.models.load_model("model.keras")' in load


def test_a_report_shows_the_verdicts_of_a_study(tmp_path, page):
    assert "Statements" not in page.texts("h2")
    verdicts = {
        "Water is wet": {"verdict": "holds", "measured": "3 of 3"},
        "Ice < water": {"verdict": "does not hold", "measured": "1 < 2"},
    }
    page = report(tmp_path / "run", verdicts=verdicts)
    assert page.texts("h2")[0] == "Statements"
    assert page.tables()[0] == [
        ["holds", "Water is wet", "3 of 3"],
        ["does not hold", "Ice < water", "1 < 2"],
    ]


def test_a_report_escapes_what_it_shows(html):
    assert "'&lt;b&gt;&amp;'" in html.replace("&#39;", "'")
    assert html.count("Wrong &amp; &lt;sure&gt;.") == 2
    assert "a &lt;processor&gt;" in html
    assert "ten &lt;numbers&gt;" in html
    assert "a &lt;folder&gt;" in html


def test_the_same_report_is_written_again(folder, html):
    for name in {"report.html", *CURVES}:
        (folder / name).unlink()
    write_report(folder)
    assert (folder / "report.html").read_text("utf-8") == html
    assert {path.name for path in folder.glob("curve_*")} == CURVES


@pytest.mark.parametrize(
    ("commit", "shown"),
    [("0123456789abcdef" * 2 + "01234567", "0123456789ab"), (None, "not a checkout")],
)
def test_a_report_names_the_commit(tmp_path, commit, shown):
    page = report(tmp_path / "run", rows=[], git_commit=commit)
    assert rows(page)["git commit"] == shown


def test_figures_that_some_epochs_lack(tmp_path):
    epochs = [
        {"epoch": 1, "step": 1, "training_loss": 1.0},
        {"epoch": 2, "step": 2, "training_rare": 2.0, "validation_accuracy": 0.5},
    ]
    assert epochs_table(report(tmp_path / "run", rows=epochs)) == [
        ["epoch", "step", "training loss", "training rare", "validation accuracy"],
        ["1", "1", "1", "", ""],
        ["2", "2", "", "2", "50.00%"],
    ]


def test_a_picture_that_is_gone_is_left_out(tmp_path):
    folder = toy_run.write(tmp_path / "run", rows=[])
    (folder / "second.png").unlink()
    page = Page(write_report(folder).read_text("utf-8"))
    assert page.pictures() == [("Test", "Numbers.", toy_run.PICTURES["first.png"])]


@pytest.mark.parametrize(
    ("rows", "steps", "headings"),
    [
        (toy_run.ROWS[:-1], 4, ["Curves", "Epochs"]),  # no look at the test part
        (toy_run.ROWS[:2], 2, ["Curves"]),  # no epoch is over
        ([], 0, []),
    ],
)
def test_a_run_that_is_not_over_has_a_report_that_says_so(tmp_path, rows, steps, headings):
    folder = toy_run.write(
        tmp_path / "run", rows=rows, timings=[], leave_out=["model", "pictures", "data"]
    )
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('{"epoch": 2, "st')  # the next row is on its way
    page = Page(write_report(folder).read_text("utf-8"))
    assert page.texts("strong") == ["This run is not over"]
    assert f"so far {steps} steps." in " ".join(page.texts("p"))
    assert page.texts("dd") == []
    assert page.texts("p")[0] == "jax on a <processor>, 2026-01-01 12:00:00+00:00."
    assert page.texts("h2") == [*headings, "How to make it again", "Options and versions"]
    assert page.texts("pre") == [toy_run.DESCRIPTION["command"]]
    assert page.pictures() == (curves({"run": read_run(folder)}) if steps else [])


def test_what_is_no_run_folder_has_no_report(tmp_path):
    with pytest.raises(InputError, match="is no run folder"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_does_not_fit_leaves_the_old_one(tmp_path):
    folder = toy_run.write(tmp_path / "run", rows=[])
    (folder / "report.html").write_text("old")
    files = {path.name for path in folder.iterdir()}
    with pytest.raises(CannotWrite, match=rf"^cannot write {folder}/report.html \(File too large"):
        with files_end_at(2000):
            write_report(folder)
    assert (folder / "report.html").read_text() == "old"
    assert {path.name for path in folder.iterdir()} == files


def test_a_picture_that_does_not_fit_is_not_left_behind(tmp_path):
    figure = plots.curves({"run": toy_run.saved(tmp_path / "run")})["loss"]
    with pytest.raises(CannotWrite, match=r"cannot write .*/picture.png \(File too large"):
        with files_end_at(2000):
            save_picture(figure, tmp_path / "picture.png")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_read_only_folder_has_no_report(folder):
    with writable_folder() as parent:
        copy = parent / "run"
        shutil.copytree(folder, copy, ignore=lambda *_: ["report.html", *CURVES])
        with read_only(copy), pytest.raises(CannotWrite, match="Permission denied"):
            write_report(copy)
        assert not (copy / "report.html").exists()


@pytest.fixture
def compare(tmp_path, monkeypatch):
    """Compares folders from a folder of its own; returns the page."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    def call(*folders):
        path = write_comparison([str(folder) for folder in folders])
        assert list(work.iterdir()) == [work / path]
        assert re.fullmatch(r"comparison-\d{8}-\d{6}\.html", str(path))
        html = path.read_text("utf-8")
        assert needs_nothing_but_itself(html)
        path.unlink()
        return Page(html)

    return call


def sections(page):
    """{section: {name: (cells, whether the row is marked)}}"""
    found, section = {}, None
    (table,) = page.root.iter("table")
    labelled, *others = table
    for row in others:
        name, *cells = map(text, row)
        if cells:
            section[name] = (cells, row.get("class") == "differs")
        else:
            assert row[0].get("colspan") == str(len(labelled))
            section = found[name] = {}
    return found


def labels(page):
    (table,) = page.root.iter("table")
    return [text(cell) for cell in table[0]][1:]


def test_a_comparison_puts_the_figures_of_runs_side_by_side(tmp_path, compare):
    first = toy_run.write(tmp_path / "toy" / "1-jax")
    second = toy_run.write(
        tmp_path / "toy" / "2-torch",
        rows=[*toy_run.ROWS[:-1], {**toy_run.TEST, "test_accuracy": 0.5}],
        timings=[{**toy_run.TIMINGS[0], "steps_per_second": 12.25}, {"seconds": 3665.0}],
        command="python -m recipes run toy --seed 1",
        options={**toy_run.DESCRIPTION["options"], "seed": 1, "runs": "A <folder>", "width": 3},
        versions={"python": "3.11.7", "keras": "3.16.0", "torch": "2.9"},
        git_commit=None,
        threads=8,
    )
    page = compare(first, second)
    assert page.texts("title") == page.texts("h1") == ["2 runs compared"]
    assert labels(page) == ["1-jax", "2-torch"]
    assert sections(page) == {
        "Test": {
            "test accuracy": (["99.21%", "50.00%"], True),
            "test loss": (["0.01235", "0.01235"], False),
        },
        "Last epoch": {
            "epoch": (["2", "2"], False),
            "step": (["4", "4"], False),
            "training loss": (["0.75", "0.75"], False),
            "validation loss": (["1.5", "1.5"], False),
            "validation accuracy": (["87.50%", "87.50%"], False),
        },
        "Cost": {
            "steps": (["4", "4"], False),
            "parameters": (["421,930", "421,930"], False),
            "time": (["01:05", "1:01:05"], True),
            "steps a second": (["4.0", "12.2"], True),
        },
        "Options": {
            "batch size": (["4", "4"], False),
            "seed": (["0", "1"], True),
            "backend": (["jax", "jax"], False),
            "runs": (["a <folder>", "A <folder>"], True),  # capitals make a difference
            "width": (["", "3"], True),
        },
        "Data, machine and versions": {
            "data": (["ten <numbers>", "ten <numbers>"], False),
            "device": (["a <processor>", "a <processor>"], False),
            "threads": (["2", "8"], True),
            "git commit": (["0123456789ab and changes", "not a checkout"], True),
            "python": (["3.11.7", "3.11.7"], False),
            "keras": (["3.15.1", "3.16.0"], True),
            "torch": (["", "2.9"], True),
        },
    }
    assert page.texts("pre") == [
        toy_run.DESCRIPTION["command"], "python -m recipes run toy --seed 1",
    ]  # fmt: skip
    assert page.pictures() == curves({"1-jax": read_run(first), "2-torch": read_run(second)})


def test_a_comparison_of_three_runs_marks_a_row_of_which_one_differs(tmp_path, compare):
    folders = [
        toy_run.write(tmp_path / str(place), rows=[], device=device)
        for place, device in enumerate(["a", "a", "b"])
    ]
    page = compare(*folders)
    found = sections(page)["Data, machine and versions"]
    assert found["device"] == (["a", "a", "b"], True)
    assert found["threads"] == (["2", "2", "2"], False)
    assert labels(page) == ["0", "1", "2"]


def test_a_comparison_has_runs_that_are_not_over(tmp_path, compare):
    over = toy_run.write(tmp_path / "over")
    begun = toy_run.write(
        tmp_path / "begun", rows=[], timings=[], leave_out=["data", "model", "pictures"]
    )
    page = compare(over, begun)
    found = sections(page)
    assert found["Test"] == {
        "test accuracy": (["99.21%", ""], True),
        "test loss": (["0.01235", ""], True),
        "test": (["", "not over"], True),
    }
    assert found["Last epoch"]["epoch"] == (["2", ""], True)
    assert found["Cost"]["steps"] == (["4", "0"], True)
    assert found["Cost"]["parameters"] == (["421,930", ""], True)
    assert found["Cost"]["time"] == (["01:05", ""], True)
    assert found["Data, machine and versions"]["data"] == (["ten <numbers>", ""], True)
    assert page.pictures() == curves({"over": read_run(over), "begun": read_run(begun)})

    page = compare(begun)
    assert page.texts("h1") == ["1 run compared"]
    assert page.texts("h2") == ["Figures and options", "How to make them again"]


def test_a_comparison_of_other_recipes_has_all_their_figures(tmp_path, compare):
    rows = [{"epoch": 1, "step": 1, "generator_loss": 1.0}, {"epoch": 1, "step": 1, "test_x": 2}]
    other = toy_run.write(tmp_path / "b", rows=rows, recipe="gan", options={"noise": 4})
    page = compare(toy_run.write(tmp_path / "a"), other)
    found = sections(page)
    assert found["Test"]["test x"] == (["", "2"], True)
    assert found["Test"]["test loss"] == (["0.01235", ""], True)
    assert found["Options"]["noise"] == (["", "4"], True)
    assert found["Options"]["seed"] == (["0", ""], True)
    assert [caption for _, caption, _ in page.pictures()] == [
        "Loss over the steps.", "Accuracy over the steps.", "Generator loss over the steps.",
    ]  # fmt: skip


def test_labels_are_as_short_as_tells_the_runs_apart(tmp_path, compare, monkeypatch):
    first = toy_run.write(tmp_path / "here" / "1-jax", rows=[])
    same_name = toy_run.write(tmp_path / "gan" / "1-jax", rows=[], recipe="gan")
    elsewhere = toy_run.write(tmp_path / "there" / "1-jax", rows=[])
    assert labels(compare(first)) == ["1-jax"]
    assert labels(compare(first, same_name)) == ["toy/1-jax", "gan/1-jax"]
    assert labels(compare(first, elsewhere)) == [str(first), str(elsewhere)]
    assert labels(compare("../here/1-jax", "../there/1-jax")) == [
        "../here/1-jax", "../there/1-jax",
    ]  # fmt: skip
    # A run that is named twice is one.
    again = first / ".." / "1-jax"
    assert labels(compare(first, same_name, again)) == ["toy/1-jax", "gan/1-jax"]


def test_a_comparison_names_the_folder_that_is_no_run(tmp_path, compare):
    with pytest.raises(InputError, match=f"^{tmp_path / 'no'} is no run folder"):
        compare(toy_run.write(tmp_path / "run", rows=[]), tmp_path / "no")
    assert not list((tmp_path / "work").iterdir())


def test_a_comparison_that_does_not_fit_is_not_left_behind(tmp_path, compare):
    run = toy_run.write(tmp_path / "run", rows=[])
    with pytest.raises(CannotWrite, match=r"cannot write comparison-.*html \(File too large"):
        with files_end_at(2000):
            compare(run)
    assert not list((tmp_path / "work").iterdir())
