"""How far apart runs lie, from run folders written by hand."""

import re

import numpy as np
import pytest

from recipes.training import curves
from recipes.training.errors import InputError
from recipes.training.report import write_curves
from tests import toy_run
from tests.page import Page


def write(folder, backend, losses, seed=0, ulps=0, accuracy=0.9, **changes):
    """A run whose steps have these losses, and twice these gaps."""
    steps = [
        {"epoch": 1, "step": step, "loss": loss, "gap": -2 * loss}
        for step, loss in enumerate(losses, start=1)
    ]
    end = {"epoch": 1, "step": len(steps)}
    rows = [*steps, {**end, "training_loss": 1.0}]
    if accuracy is not None:
        rows.append({**end, "test_accuracy": accuracy, "test_loss": 1 - accuracy})
    options = {"batch_size": 4, "seed": seed, "backend": backend, "ulps": ulps, "data": "auto"}
    return toy_run.write(
        folder / f"{seed}-{backend}-{ulps}",
        rows=rows,
        **{"options": {**options, "runs": str(folder)}, **changes},
    )


def runs(folder, **changes):
    """Two seeds on three backends, and one of each from moved weights."""
    return [
        write(folder, "tensorflow", [4.0, 2.0, 1.0], **changes),
        write(folder, "jax", [4.0, 2.1, 1.0], accuracy=0.91),
        write(folder, "torch", [4.0, 2.0, 2.0], accuracy=0.88),
        write(folder, "tensorflow", [4.0, 2.0, 1.25], ulps=1, accuracy=0.9),
        write(folder, "jax", [8.0, 2.0, 1.0], seed=1),
        write(folder, "tensorflow", [8.0, 2.0, 1.0], seed=1),
        write(folder, "torch", [8.0, 2.0, 1.0], seed=1),
        write(folder, "tensorflow", [5.0, 2.0, 1.0], seed=1, ulps=1, accuracy=0.5),
    ]


def grouped(folders):
    return curves.group([toy_run.read_run(folder) for folder in folders])


def test_runs_are_grouped_by_seed_and_backend(tmp_path):
    found = grouped(reversed(runs(tmp_path)))
    assert found.seeds == [0, 1]
    for seed in (0, 1):
        assert sorted(found.backends[seed]) == ["jax", "tensorflow", "torch"]
        assert list(found.moved[seed]) == ["tensorflow"]
        for backend, run in found.backends[seed].items():
            assert run.folder.name == f"{seed}-{backend}-0"


def test_differences_are_relative_and_the_largest_of_all_figures(tmp_path):
    one = toy_run.saved(tmp_path / "1", rows=[
        {"epoch": 1, "step": 1, "a": 4.0, "b": 1.0}, {"epoch": 1, "step": 2, "a": 0.0, "b": -1.0},
        {"epoch": 1, "step": 3, "a": 1.0, "b": 1.0},
    ])  # fmt: skip
    other = toy_run.saved(tmp_path / "2", rows=[
        {"epoch": 1, "step": 1, "a": 5.0, "b": 1.1}, {"epoch": 1, "step": 2, "a": 0.0, "b": -0.5},
    ])  # fmt: skip
    # Of the steps that both have: (5 - 4) / 5, and (1 - 0.5) / 1.
    assert curves.differences([one, other]).tolist() == pytest.approx([0.2, 0.5])
    assert curves.differences([one, one]).tolist() == [0, 0, 0]


def test_measured_has_the_largest_so_far_for_each_seed(tmp_path):
    found = curves.measured(grouped(runs(tmp_path)))
    first, all_ = found["steps"].values()
    assert list(found["steps"]) == ["1", "3"]
    assert first["backends"] == [0, 0]
    assert first["floor"] == pytest.approx([0, 3 / 8])
    assert all_["backends"] == pytest.approx([0.5, 0])
    assert all_["floor"] == pytest.approx([0.2, 3 / 8])
    assert found["test"]["test_accuracy"]["backends"] == pytest.approx([0.03, 0])
    assert found["test"]["test_accuracy"]["floor"] == pytest.approx([0, 0.4])
    assert curves.table(found) == [
        ["first step", "0.0e+00", "3.8e-01"],
        ["first 3 steps", "5.0e-01", "3.8e-01"],
        ["test accuracy", "3.00 points", "40.00 points"],
        ["test loss", "0.03", "0.4"],
    ]


def test_steps_are_marked_at_1_10_50_500_and_at_the_end(tmp_path):
    rng = np.random.default_rng(0)
    base = rng.uniform(1, 2, 1200)
    other = base * (1 + np.linspace(0, 0.1, 1200))
    found = curves.measured(grouped([
        write(tmp_path, "jax", base.tolist()), write(tmp_path, "torch", other[:1100].tolist())
    ]))  # fmt: skip
    apart = (other - base) / other
    assert list(found["steps"]) == ["1", "10", "50", "500", "1100"]
    for steps, cells in found["steps"].items():
        assert cells["backends"] == pytest.approx([apart[: int(steps)].max()])
        assert cells["floor"] == []
    names = [name for name, *_ in curves.table(found)]
    assert names[3:5] == ["first 500 steps", "first 1,100 steps"]
    assert curves.table(found)[0][2] == ""


def test_runs_that_are_not_over_have_no_test_row(tmp_path):
    folders = [write(tmp_path, "jax", [1.0]), write(tmp_path, "torch", [1.0], accuracy=None)]
    assert curves.measured(grouped(folders))["test"] == {}


def test_the_page_has_picture_table_and_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, table = write_curves(runs(tmp_path / "runs"))
    assert re.fullmatch(r"curves-\d{8}-\d{6}\.html", str(path))
    page = Page(path.read_text("utf-8"))
    assert page.texts("h1") == ["toy: one seed, one curve"]
    assert page.texts("td") == [cell for row in table for cell in row[1:]]
    assert page.texts("th")[3:] == [row[0] for row in table]
    assert page.texts("pre") == [toy_run.DESCRIPTION["command"]] * 8
    assert (
        "ten <numbers>. a <processor>. Seeds: 0, 1; the curves are those of seed 0."
        in (page.texts("p")[0])
    )
    (image,) = page.root.iter("img")
    assert image.get("src").startswith("data:image/png;base64,iVBOR")


OTHER_DATA = {**toy_run.DESCRIPTION["data"], "description": "more numbers"}
OTHER_OPTIONS = {
    "batch_size": 8, "seed": 0, "backend": "torch", "ulps": 0, "data": "auto", "runs": "runs"
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": "another"}, "recipe is toy in one and another in the other"),
        ({"options": OTHER_OPTIONS}, "batch_size is 4 in one and 8 in the other"),
        ({"data": OTHER_DATA}, "data is ten <numbers> in one and more numbers in the other"),
        ({"rows": []}, r"figures of a step is \['epoch', 'gap', 'loss', 'step'\] in one and \[\]"),
    ],
)
def test_runs_of_another_kind_are_refused(tmp_path, changes, message):
    first = write(tmp_path, "jax", [1.0])
    changes = {"options": {**OTHER_OPTIONS, "batch_size": 4}, **changes}
    rows = changes.pop("rows", [{"epoch": 1, "step": 1, "loss": 1.0, "gap": -2.0}])
    second = toy_run.write(tmp_path / "second", rows=rows, **changes)
    with pytest.raises(InputError, match=message) as error:
        grouped([first, second])
    assert f"{first} and {second} are not runs of one kind" in str(error.value)


def test_a_run_that_went_on_elsewhere_is_refused(tmp_path):
    first, second = write(tmp_path, "jax", [1.0]), write(tmp_path, "torch", [1.0], resumed=[
        {"differences": []}, {"differences": ["backend was torch, is jax"]}
    ])  # fmt: skip
    with pytest.raises(InputError, match=f"{second} was killed, and went on where backend was"):
        grouped([first, second])


def test_data_may_be_named_or_found(tmp_path):
    options = {**OTHER_OPTIONS, "batch_size": 4, "data": "embedded"}
    second = write(tmp_path, "torch", [1.0], options=options)
    assert len(grouped([write(tmp_path, "jax", [1.0]), second]).backends[0]) == 2


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ([0], "seed 0 has runs on tensorflow: name its runs on two or more"),
        ([3], "seed 0 has runs on no backend"),
        ([0, 1, 4, 5, 6], "seed 1 has runs on jax, tensorflow, torch: name"),
        ([1, 2, 3], "0-tensorflow-1 started from moved weights: name the run on tensorflow"),
    ],
)
def test_what_is_missing_is_named(tmp_path, kept, message):
    folders = runs(tmp_path)
    with pytest.raises(InputError, match=message):
        grouped([folders[index] for index in kept])


def test_two_runs_of_one_seed_and_backend_are_refused(tmp_path):
    first, second = write(tmp_path, "jax", [1.0]), write(tmp_path / "b", "jax", [1.0])
    with pytest.raises(InputError, match="b/0-jax-0 are both of jax and seed 0: name one"):
        grouped([first, second])


def test_a_run_without_a_step_is_refused(tmp_path):
    folder = write(tmp_path, "jax", [])
    with pytest.raises(InputError, match=f"{folder} has no step yet"):
        grouped([folder])
