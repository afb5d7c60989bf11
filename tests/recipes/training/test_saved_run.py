"""A run folder read back, whole, on its way, and damaged."""

import json

import pytest

from recipes.training.errors import InputError
from recipes.training.saved_run import read_run
from tests import toy_run
from tests.full_disk import read_only, writable_folder


def test_rows_are_those_of_steps_epochs_and_the_test(tmp_path):
    run = toy_run.saved(tmp_path / "run")
    assert run.folder == tmp_path / "run"
    assert run.description == toy_run.DESCRIPTION
    assert run.steps == toy_run.STEPS
    assert run.epochs == toy_run.EPOCHS
    assert run.test == {"test_accuracy": 0.9921, "test_loss": 0.01234567}
    assert run.timings == toy_run.TIMINGS[:2]
    assert run.seconds == 65.0


def test_an_epoch_may_have_means_of_its_steps_only_or_validation_only(tmp_path):
    rows = [
        {"epoch": 1, "step": 1, "loss": 1.0},
        {"epoch": 1, "step": 1, "training_loss": 1.0},
        {"epoch": 2, "step": 2, "validation_distance": 1.0},
    ]
    run = toy_run.saved(tmp_path / "run", rows=rows)
    assert run.steps == rows[:1]
    assert run.epochs == rows[1:]
    assert run.test == {}


def test_the_name_is_recipe_and_folder(tmp_path, monkeypatch):
    toy_run.write(tmp_path / "20260101-120000-jax")
    assert read_run(str(tmp_path / "20260101-120000-jax")).name == "toy/20260101-120000-jax"
    monkeypatch.chdir(tmp_path / "20260101-120000-jax")
    assert read_run(".").name == "toy/20260101-120000-jax"


@pytest.mark.parametrize(
    ("timings", "expected"),
    [
        ([], None),
        ([(8.0, 0.25)], 0.25),
        ([(8.0, 0.25), (0.5, 4.0)], 4.0),
        ([(8.0, 0.25), (0.5, 4.0), (1.5, 8.0)], 7.0),  # 14 steps in 2 seconds
        ([(8.0, 0.25), (0.0, 9000.0)], None),
    ],
)
def test_steps_per_second_are_those_of_all_epochs_but_the_first(tmp_path, timings, expected):
    rows = [
        {"epoch": epoch, "seconds": 9.0, "training_seconds": seconds, "steps_per_second": rate}
        for epoch, (seconds, rate) in enumerate(timings, start=1)
    ]
    run = toy_run.saved(tmp_path / "run", timings=rows)
    assert run.steps_per_second == expected
    assert run.seconds is None


def test_a_run_on_its_way_has_what_it_has_written(tmp_path):
    folder = toy_run.write(tmp_path / "run", rows=toy_run.ROWS[:3], timings=toy_run.TIMINGS[:1])
    for name in ("metrics.jsonl", "timings.jsonl"):
        with open(folder / name, "a") as file:
            file.write('{"epoch": 2, "step": 3, "lo')
    run = read_run(folder)
    assert (run.steps, run.epochs) == (toy_run.STEPS[:2], toy_run.EPOCHS[:1])
    assert (run.test, run.seconds, run.steps_per_second) == ({}, None, 0.25)


def test_a_row_without_its_end_of_line_is_on_its_way(tmp_path):
    folder = toy_run.write(tmp_path / "run")
    whole = (folder / "metrics.jsonl").read_bytes()
    (folder / "metrics.jsonl").write_bytes(whole[:-1])
    assert read_run(folder).test == {}


def test_a_run_that_has_only_begun(tmp_path):
    folder = toy_run.write(tmp_path / "run", leave_out=["data", "model", "pictures"])
    (folder / "metrics.jsonl").unlink()
    (folder / "timings.jsonl").unlink()
    run = read_run(folder)
    assert (run.steps, run.epochs, run.test, run.timings, run.seconds) == ([], [], {}, [], None)


@pytest.mark.parametrize("name", ["nowhere", "empty", "file", "runs"])
def test_what_is_no_run_folder(tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    toy_run.write(tmp_path / "runs" / "toy")
    with pytest.raises(InputError) as caught:
        read_run(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name} is no run folder")
    assert "config.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def _break(name, content):
    def damage(folder):
        (folder / name).write_bytes(content)

    return damage


def _without(name):
    described = {key: value for key, value in toy_run.DESCRIPTION.items() if key != name}
    return _break("config.json", json.dumps(described).encode())


@pytest.mark.parametrize(
    "damage",
    [
        _break("config.json", b""),
        _break("config.json", b"{"),
        _break("config.json", b"[]"),
        _break("config.json", b"{}"),
        _break("config.json", b"\xff\xfe"),
        *map(_without, ["recipe", "command", "options", "versions", "started", "git_commit"]),
        _break("metrics.jsonl", b'{"epoch": 1, "step"\n{"epoch": 1, "step": 1, "loss": 1.0}\n'),
        _break("metrics.jsonl", b"\0\0\0\0\n"),
        _break("metrics.jsonl", b"\n"),
        _break("metrics.jsonl", b"3\n"),
        _break("metrics.jsonl", b'"training_loss"\n'),
        _break("metrics.jsonl", b'{"epoch": 1, "step": 1, "loss": "small"}\n'),
        _break("metrics.jsonl", b'{"loss": 1.0}\n'),
        _break("timings.jsonl", b'{"epoch": 1}\n'),
        _break("timings.jsonl", b"{}\n"),
        _break("timings.jsonl", b"\xff\n"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path, damage):
    folder = toy_run.write(tmp_path / "run")
    damage(folder)
    with pytest.raises(InputError) as caught:
        read_run(folder)
    assert str(caught.value).startswith(f"the run in {folder} is damaged (")
    assert str(caught.value).endswith("run it again")
    assert "\n" not in str(caught.value)


def test_a_folder_that_may_not_be_read():
    with writable_folder() as parent:
        folder = toy_run.write(parent / "run")
        (folder / "metrics.jsonl").chmod(0)
        with read_only(parent), pytest.raises(InputError) as caught:
            read_run(folder)
        assert str(caught.value).startswith(f"cannot read the run in {folder}: ")
        assert "Permission denied" in str(caught.value)
        folder.chmod(0)
        with read_only(parent), pytest.raises(InputError, match="cannot read the run in"):
            read_run(folder)
        folder.chmod(0o755)
