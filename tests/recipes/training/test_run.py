"""A run without a model: what it writes, in which order, and how it ends."""

import contextlib
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops
from matplotlib.figure import Figure

from recipes.data import gaussian_mixture
from recipes.training import progress
from recipes.training import run as run_module
from recipes.training.errors import CannotWrite, InputError, NonFiniteValue
from recipes.training.options import Options
from recipes.training.report import write_report
from recipes.training.run import Run
from recipes.training.saved_run import read_run
from tests import event_reader
from tests.full_disk import files_end_at, read_only, writable_folder

BACKEND = keras.backend.backend()
SPLIT = (np.arange(10),)
STEP = SimpleNamespace(variables=[])  # of a run that trains nothing


@dataclass(frozen=True)
class Config:
    epochs: int = 2
    batch_size: int = 3
    seed: int = 0


def start(tmp_path, precision="float32", ulps=0, **changes):
    return Run("toy", Config(**changes), Options(runs=tmp_path, precision=precision, ulps=ulps))


def train(run, loss=lambda step: step):
    """Runs the skeleton of a recipe; losses are tensors, as those of a step are."""
    step = 0
    for epoch in run.epochs(STEP):
        for (numbers,) in run.batches(SPLIT):
            step += 1
            run.log(loss=ops.convert_to_tensor(float(loss(step))), largest=int(numbers.max()))
        run.log(validation_loss=10.0 * epoch)
    run.log(test_loss=0.5)


def model():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)], name="small")


def rows(run, name="metrics.jsonl"):
    return [json.loads(line) for line in (run.folder / name).read_text().splitlines()]


def test_metrics_have_a_row_a_step_a_row_an_epoch_and_a_last_row(tmp_path):
    with start(tmp_path) as run:
        train(run)
    found = rows(run)
    assert [(row["epoch"], row["step"]) for row in found] == [
        (1, 1), (1, 2), (1, 3), (1, 3), (2, 4), (2, 5), (2, 6), (2, 6), (2, 6),
    ]  # fmt: skip
    steps = [row for row in found if "loss" in row]
    assert [row["loss"] for row in steps] == [1, 2, 3, 4, 5, 6]
    assert set(steps[0]) == {"epoch", "step", "loss", "largest"}
    first, second = (row for row in found if "validation_loss" in row)
    assert (first["validation_loss"], second["validation_loss"]) == (10, 20)
    # Means over the steps of each epoch.
    assert (first["training_loss"], second["training_loss"]) == (2, 5)
    assert found[-1] == {"epoch": 2, "step": 6, "test_loss": 0.5}


def test_stacked_batches_write_the_rows_of_single_ones(tmp_path):
    with start(tmp_path) as single:
        train(single)
    with start(tmp_path) as stacked:
        for epoch in stacked.epochs(STEP):
            first = 3 * epoch - 2
            for (numbers,) in stacked.batches(SPLIT, stack=2):
                losses = ops.convert_to_tensor(np.arange(first, first + len(numbers), 1.0))
                first += len(numbers)
                stacked.log(loss=losses)
                stacked.log(largest=numbers.max(axis=1))
            stacked.log(validation_loss=10.0 * epoch)
        stacked.log(test_loss=0.5)
    assert rows(stacked) == rows(single)
    for one, other in zip(
        rows(stacked, "timings.jsonl"), rows(single, "timings.jsonl"), strict=True
    ):
        assert one.keys() == other.keys()
    tags = event_reader.scalars(stacked.folder), event_reader.scalars(single.folder)
    assert tags[0] == tags[1]


def test_stacked_batches_count_as_steps_in_progress_and_timings(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0)
    monkeypatch.setattr(run_module, "_SECONDS_BETWEEN_FETCHES", 0)
    with start(tmp_path, epochs=1) as run:
        for _ in run.epochs(STEP):
            for _ in run.batches(SPLIT, stack=2):
                run.log(rate=0.5)
                time.sleep(0.02)
        run.log(test_loss=0.5)
    printed = capsys.readouterr().out
    assert "step 2/3" in printed
    assert "step 3/3" in printed
    row = rows(run, "timings.jsonl")[0]
    assert row["steps_per_second"] == pytest.approx(3 / row["training_seconds"], rel=0.02)


def test_a_stack_may_log_one_value_for_all_its_steps(tmp_path):
    with start(tmp_path, epochs=1) as run:
        for _ in run.epochs(STEP):
            for _ in run.batches(SPLIT, stack=2):
                run.log(rate=0.5)
        run.log(test_loss=0.5)
    assert [row["rate"] for row in rows(run) if "rate" in row] == [0.5, 0.5, 0.5]


def initialized(tmp_path, **changes):
    """Weights of two models of a run, after it has initialized them."""
    with start(tmp_path, **changes) as run:
        models = model(), model()
        run.initialize(*models)
        train(run)
    return [value for each in models for value in each.get_weights()]


def test_the_seed_decides_the_initial_weights(tmp_path):
    kernel, _, another, _ = initialized(tmp_path)
    expected = np.random.default_rng(np.random.SeedSequence(0, spawn_key=(0, 0)))
    limit = np.float32((6 / 5) ** 0.5)
    np.testing.assert_allclose(
        kernel, expected.random((3, 2), "float32") * 2 * limit - limit, rtol=0, atol=1e-7
    )
    np.testing.assert_array_equal(initialized(tmp_path)[2], another)
    assert not np.array_equal(kernel, another)
    assert not np.array_equal(initialized(tmp_path, seed=1)[0], kernel)


@pytest.mark.parametrize("ulps", [1, 3])
def test_ulps_move_each_weight_by_units_in_the_last_place(tmp_path, ulps):
    for moved, value in zip(initialized(tmp_path, ulps=ulps), initialized(tmp_path), strict=True):
        distance = moved.view("int32") - value.view("int32")
        # Of a bias, which is zero, the smallest numbers there are; a backend may round them off.
        assert np.all(distance == ulps) or np.all((value == 0) & (np.abs(moved) < 1e-37))


def test_layers_are_those_of_keras_again_after_the_run(tmp_path):
    before = keras.layers.Layer.add_weight
    with start(tmp_path) as run:
        assert keras.layers.Layer.add_weight is not before
        train(run)
    assert keras.layers.Layer.add_weight is before


def test_a_transform_makes_the_batches_that_are_trained_on(tmp_path):
    def noise(random, numbers):
        return numbers, random.random(len(numbers))

    def drawn(seed):
        found = []
        with start(tmp_path, seed=seed) as run:
            for _ in run.epochs(STEP):
                for numbers, noise_ in run.batches(SPLIT, noise):
                    run.log(loss=1.0)
                    found.append((*numbers, *noise_))
            run.log(test_loss=0.5)
        return found

    first = drawn(0)
    assert len(set(first)) == 6
    assert drawn(0) == first
    assert not set(drawn(1)) & set(first)


def test_values_logged_apart_share_a_row(tmp_path):
    with start(tmp_path, epochs=1) as run:
        for _ in run.epochs(STEP):
            for _ in run.batches(SPLIT):
                run.log(loss=1.0)
                run.log(other=2.0)
            run.log(validation_loss=3.0)
            run.log(validation_accuracy=0.5)
        run.log(test_loss=4.0)
        run.log(test_accuracy=0.25)
    found = rows(run)
    assert len(found) == 5
    assert found[0] == {"epoch": 1, "step": 1, "loss": 1.0, "other": 2.0}
    assert found[3]["validation_loss"] == 3.0
    assert found[3]["validation_accuracy"] == 0.5
    assert found[4] == {"epoch": 1, "step": 3, "test_loss": 4.0, "test_accuracy": 0.25}


def test_the_mean_of_an_epoch_is_over_the_steps_that_logged_the_value(tmp_path):
    with start(tmp_path, epochs=1) as run:
        for _ in run.epochs(STEP):
            for position, _ in enumerate(run.batches(SPLIT)):
                run.log(loss=1.0)
                if position == 1:
                    run.log(rare=6.0)
        run.log(test_loss=1.0)
    assert rows(run)[3] == {"epoch": 1, "step": 3, "training_loss": 1.0, "training_rare": 6.0}


def test_nothing_is_lost_however_often_values_are_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "_SECONDS_BETWEEN_FETCHES", 0.0)
    with start(tmp_path) as eager:
        train(eager)
    monkeypatch.setattr(run_module, "_SECONDS_BETWEEN_FETCHES", 1e9)
    with start(tmp_path) as lazy:
        train(lazy)
    assert rows(eager) == rows(lazy)


def test_timings_are_apart(tmp_path):
    with start(tmp_path) as run:
        train(run, loss=lambda step: time.sleep(0.01) or step)
    *epochs, total = rows(run, "timings.jsonl")
    assert [row["epoch"] for row in epochs] == [1, 2]
    for row in epochs:
        assert row["seconds"] >= row["training_seconds"] >= 0.03
        assert row["steps_per_second"] == pytest.approx(3 / row["training_seconds"], rel=0.02)
    assert total["seconds"] >= sum(row["seconds"] for row in epochs) - 0.01
    assert not any("second" in name for row in rows(run) for name in row)


def test_config_records_what_decides_the_numbers(tmp_path):
    with start(tmp_path, seed=7) as run:
        train(run)
    config = json.loads((run.folder / "config.json").read_text())
    assert config["recipe"] == "toy"
    assert config["options"]["seed"] == 7
    assert config["options"]["epochs"] == 2
    assert config["options"]["backend"] == BACKEND
    assert config["versions"]["keras"] == keras.__version__
    assert any(name.startswith(BACKEND) for name in config["versions"])
    assert config["device"]
    assert config["threads"] >= 1
    assert "--seed 7" in config["command"]
    assert f"--backend {BACKEND}" in config["command"]


def test_config_records_data_model_and_pictures_when_there_are_some(tmp_path):
    def config():
        return json.loads((run.folder / "config.json").read_text())

    with start(tmp_path) as run:
        assert {"data", "model"}.isdisjoint(config())
        assert config()["pictures"] == {}
        run.load(gaussian_mixture)
        assert config()["data"]["name"] == "gaussian_mixture"
        assert config()["data"]["source"] == "embedded"
        assert config()["data"]["description"]
        train(run)
        run.save(model())
        run.picture("second", Figure(), "Another.")
        run.picture("first", Figure(), "A picture.")
    assert config()["model"] == {"name": "small", "parameters": 8}
    assert list(config()["pictures"].items()) == [
        ("second.png", "Another."), ("first.png", "A picture."),
    ]  # fmt: skip
    report = (run.folder / "report.html").read_text("utf-8")
    assert report.index("Another.") < report.index("A picture.")


def test_verdicts_are_printed_and_recorded_in_their_order(tmp_path, capsys):
    with start(tmp_path) as run:
        assert "verdicts" not in json.loads((run.folder / "config.json").read_text())
        train(run)
        run.verdict("Water is wet", np.bool_(True), "3 of 3")
        run.verdict("Ice is warm", False, "0 of 3, 2 would do")
        run.verdict("Steam is loud", None, "no kettle here")
    expected = {
        "Water is wet": {"verdict": "holds", "measured": "3 of 3"},
        "Ice is warm": {"verdict": "does not hold", "measured": "0 of 3, 2 would do"},
        "Steam is loud": {"verdict": "not measured", "measured": "no kettle here"},
    }
    recorded = json.loads((run.folder / "config.json").read_text())["verdicts"]
    assert list(recorded.items()) == list(expected.items())
    lines = capsys.readouterr().out.splitlines()
    for statement, found in expected.items():
        assert f"{found['verdict']}: {statement} ({found['measured']})" in lines


def test_the_folder_holds_whole_files_only(tmp_path):
    with start(tmp_path) as run:
        train(run)
        run.save(model())
        run.picture("samples", Figure(), "A picture.")
    assert {path.name for path in run.folder.iterdir()} == {
        "config.json", "metrics.jsonl", "timings.jsonl", "tensorboard", "checkpoints",
        "model.keras", "curve_loss.png", "curve_largest.png", "samples.png", "report.html",
    }  # fmt: skip
    loaded = keras.models.load_model(run.folder / "model.keras")
    assert loaded.count_params() == 8


def test_the_report_is_the_last_that_is_written(tmp_path):
    with start(tmp_path, epochs=1) as run:
        train(run)
    report = (run.folder / "report.html").read_bytes()
    assert b"not over" not in report
    assert write_report(run.folder).read_bytes() == report


def test_tensorboard_has_the_figures_of_metrics(tmp_path):
    with start(tmp_path) as run:
        train(run)
    assert event_reader.scalars(run.folder / "tensorboard") == {
        "training": {
            "loss": [(row["step"], row["loss"]) for row in rows(run) if "loss" in row],
            "largest": [(row["step"], row["largest"]) for row in rows(run) if "loss" in row],
        },
        "validation": {"loss": [(3, 10.0), (6, 20.0)]},
        "test": {"loss": [(6, 0.5)]},
    }


def test_two_runs_in_one_second_have_two_folders(tmp_path):
    folders = []
    for _ in range(3):
        with start(tmp_path) as run:
            train(run)
        folders.append(run.folder)
    assert len(set(folders)) == 3
    assert all(folder.parent == tmp_path / "toy" for folder in folders)
    assert all(BACKEND in folder.name for folder in folders)


def test_the_seed_decides_what_keras_draws(tmp_path):
    def draw(seed):
        with start(tmp_path, seed=seed) as run:
            layer = keras.layers.Dense(3)
            layer.build((None, 2))
            train(run)
        return layer.get_weights()[0].tolist()

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_loss_that_is_no_finite_number_stops_the_run_and_names_the_step(tmp_path, value):
    with pytest.raises(NonFiniteValue, match=f"loss became {value} at step 5 of epoch 2"):
        with start(tmp_path) as run:
            train(run, loss=lambda step: value if step == 5 else 1.0)
    # What came before is kept, and nothing pretends that the run was finished.
    assert [row["step"] for row in rows(run)] == [1, 2, 3, 3, 4]
    assert not (run.folder / "report.html").exists()


def test_a_validation_figure_that_is_no_finite_number_stops_the_run(tmp_path):
    with pytest.raises(NonFiniteValue, match="validation_loss became nan at step 3 of epoch 1"):
        with start(tmp_path) as run:
            for _ in run.epochs(STEP):
                for _ in run.batches(SPLIT):
                    run.log(loss=1.0)
                run.log(validation_loss=float("nan"))


def test_ctrl_c_keeps_the_steps_so_far(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with start(tmp_path) as run:
            for _ in run.epochs(STEP):
                for position, _ in enumerate(run.batches(SPLIT)):
                    if position == 2:
                        raise KeyboardInterrupt
                    run.log(loss=ops.convert_to_tensor(1.0))
    assert [row["step"] for row in rows(run)] == [1, 2]
    assert not (run.folder / "report.html").exists()
    assert "so far\n2 steps" in write_report(run.folder).read_text("utf-8")


def test_a_batch_larger_than_the_data_leaves_nothing_behind(tmp_path):
    with pytest.raises(InputError, match=r"--batch-size 11 .* 10 examples.*at most 10"):
        with start(tmp_path, batch_size=11) as run:
            train(run)
    assert list((tmp_path / "toy").iterdir()) == []


def test_what_has_been_trained_is_kept_whatever_goes_wrong_later(tmp_path):
    with pytest.raises(InputError):
        with start(tmp_path) as run:
            train(run)
            raise InputError("something the user gave does not work")
    assert len(rows(run)) == 8


def test_a_batch_of_all_the_data_is_one_step_an_epoch(tmp_path):
    with start(tmp_path, batch_size=10) as run:
        assert run.total_steps(SPLIT) == 2
        train(run)
    assert rows(run)[-1]["step"] == 2


def test_a_runs_folder_that_cannot_be_written_is_an_input_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/toy \(Not a directory\).*--runs"):
        start(tmp_path / "file")


@pytest.mark.parametrize("error", [None, NonFiniteValue, KeyboardInterrupt, InputError, ValueError])
def test_precision_holds_for_the_time_of_the_run(tmp_path, error):
    with contextlib.suppress(error or ()):
        with start(tmp_path, precision="mixed_bfloat16") as run:
            assert keras.config.dtype_policy().name == "mixed_bfloat16"
            train(run)
            if error:
                raise error
    assert keras.config.dtype_policy().name == "float32"


def test_precision_is_given_back_where_the_report_fails(tmp_path, capsys):
    with pytest.raises(CannotWrite, match=r"report\.html"):
        with start(tmp_path, precision="mixed_bfloat16") as run:
            train(run)
            (run.folder / "report.html").mkdir()  # no file can take its place
    assert keras.config.dtype_policy().name == "float32"


def test_a_run_that_cannot_begin_leaves_no_folder_and_no_precision(tmp_path):
    with pytest.raises(CannotWrite, match=r"^cannot write .*config.json \(File too large"):
        with files_end_at(300):
            start(tmp_path, precision="mixed_bfloat16")
    assert list((tmp_path / "toy").iterdir()) == []
    assert keras.config.dtype_policy().name == "float32"


def test_a_full_disk_ends_the_run_and_leaves_whole_rows(tmp_path, capsys):
    # What a run prints goes to capsys, that is to memory, and not to a file that may not grow.
    with pytest.raises(CannotWrite, match=rf"^cannot write {tmp_path}/.* \(File too large\): make"):
        with files_end_at(5000):
            with start(tmp_path, epochs=60) as run:
                train(run)
    assert {path.name for path in run.folder.iterdir()} == {
        "config.json", "metrics.jsonl", "timings.jsonl", "tensorboard", "checkpoints",
    }  # fmt: skip
    saved = read_run(run.folder)
    assert len(saved.steps) > 50
    assert [row["step"] for row in saved.steps] == list(range(1, len(saved.steps) + 1))
    assert (run.folder / "metrics.jsonl").read_bytes().endswith(b"}\n")
    events = event_reader.scalars(run.folder / "tensorboard")["training"]["loss"]
    steps = [(row["step"], row["loss"]) for row in saved.steps]
    assert events in (steps, steps[:-1])
    assert "This run is not over" in write_report(run.folder).read_text("utf-8")


@pytest.mark.parametrize("before", ["the first row", "a step", "model", "picture", "report"])
def test_a_folder_that_is_removed_ends_the_run_and_is_not_made_again(tmp_path, before):
    def remove(moment):
        while moment == before and run.folder.exists():  # a checkpoint may be written meanwhile
            shutil.rmtree(run.folder, ignore_errors=True)

    with pytest.raises(CannotWrite) as caught:
        with start(tmp_path) as run:
            remove("the first row")
            for epoch in run.epochs(STEP):
                for position, _ in enumerate(run.batches(SPLIT)):
                    if (epoch, position) == (2, 1):
                        remove("a step")
                    run.log(loss=1.0)
                run.log(validation_loss=1.0)
            remove("model")
            run.save(model())
            remove("picture")
            run.picture("samples", Figure(), "A picture.")
            remove("report")
            run.log(test_loss=1.0)
    assert str(caught.value).startswith(f"cannot write {run.folder}/")
    assert "(the folder was removed while the run was going on)" in str(caught.value)
    assert list((tmp_path / "toy").iterdir()) == []


def test_a_folder_that_becomes_read_only(capsys):
    with writable_folder() as runs:
        with pytest.raises(CannotWrite, match=r"cannot write .*/later.png \(Permission denied\)"):
            with start(runs) as run:
                train(run)
                run.picture("samples", Figure(), "A picture.")
                with read_only(run.folder):
                    run.picture("later", Figure(), "Another.")
        assert len(rows(run)) == 8
        assert not (run.folder / "later.png").exists()


def test_a_disk_that_is_full_before_the_first_step_leaves_nothing_behind(tmp_path, capsys):
    with pytest.raises(CannotWrite, match=r"early\.png"):
        with start(tmp_path) as run:
            with files_end_at(100):
                run.picture("early", Figure(), "A picture.")
    assert list((tmp_path / "toy").iterdir()) == []


def test_a_bug_in_a_recipe_leaves_its_folder(tmp_path):
    with pytest.raises(ZeroDivisionError):
        with start(tmp_path) as run:
            1 / 0  # noqa: B018
    assert (run.folder / "config.json").exists()


@pytest.mark.parametrize("error", [None, NonFiniteValue])
def test_all_files_are_closed(tmp_path, error):
    with contextlib.suppress(error or ()):
        with start(tmp_path) as run:
            train(run)
            if error:
                raise error
    still_open = []
    for link in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(OSError):
            still_open.append(os.readlink(link))
    assert not [path for path in still_open if path.startswith(str(run.folder))]


def test_load_takes_the_validation_part_of_the_data(tmp_path):
    parts = tuple((np.arange(count),) for count in (7, 3, 2))
    with start(tmp_path) as run:
        loaded = run.load(SimpleNamespace(NAME="a", EMBEDDED="numbers", embedded=lambda: parts))
        train(run)
    assert loaded == parts


def test_load_cuts_validation_from_the_training_part(tmp_path, capsys):
    def load(**changes):
        with start(tmp_path, **changes) as run:
            splits = run.load(gaussian_mixture)
            train(run)
        return [numbers for (numbers,) in splits]

    part, test = (split[0] for split in gaussian_mixture.embedded())
    training, validation, tested = load(seed=1)
    assert len(validation) == len(part) / 10
    np.testing.assert_array_equal(
        np.sort(np.concatenate([training, validation]), axis=0), np.sort(part, axis=0)
    )
    np.testing.assert_array_equal(tested, test)
    np.testing.assert_array_equal(validation, load(seed=1)[1])
    assert not np.array_equal(validation, load(seed=2)[1])
    assert "data: " in capsys.readouterr().out


def test_a_pipe_gets_plain_lines(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("recipes.training.progress._SECONDS_BETWEEN_LINES", 0.0)
    monkeypatch.setattr(run_module, "_SECONDS_BETWEEN_FETCHES", 0.0)
    with start(tmp_path) as run:
        train(run)
    printed = capsys.readouterr()
    assert "\r" not in printed.out + printed.err
    lines = printed.out.splitlines()
    steps = [line for line in lines if line.startswith("epoch 1/2  step ")]
    assert len(steps) >= 2
    assert "step 2/6  loss 2  largest" in steps[1]
    assert "steps/s" in steps[1]
    assert steps[1].endswith("left")
    assert any(
        line.startswith("epoch 2/2  training_loss 5") and "validation_loss 20" in line
        for line in lines
    )
    assert lines[0].startswith(f"toy on {BACKEND}, ")
    assert lines[-3].startswith("test_loss 0.5  ")
    assert lines[-3].endswith(" s in all")
    assert lines[-2:] == [f"report: {run.folder / 'report.html'}", f"run folder: {run.folder}"]
