"""A run that ended before its time goes on as if nothing had happened."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops
from safetensors.numpy import load_file

from custom_layers import Dropout
from recipes.training import run as run_module
from recipes.training.describe import code_checksum
from recipes.training.errors import CannotWrite, InputError, NonFiniteValue, Terminated
from recipes.training.gradient_step import gradient_step, gradient_steps
from recipes.training.options import Options
from recipes.training.report import write_report
from recipes.training.resume import differences, read_options
from recipes.training.run import Run
from recipes.training.saved_run import read_description, read_run
from tests import event_reader
from tests.full_disk import files_end_at
from tests.page import Page

BACKEND = keras.backend.backend()
BEST = {"epoch": 1, "validation_loss": 0.5, "checkpoint": 1}
SPLIT = (np.linspace(-1, 1, 13, dtype="float32")[:, None],)  # 4 batches of 3 an epoch


@dataclass(frozen=True)
class Config:
    epochs: int = 3
    batch_size: int = 3
    seed: int = 0


def train(run, stop=lambda run: None, validation=None, stack=None):
    """A recipe with all that has state: weights, Adam, statistics, masks, a schedule, noise.

    ``stop`` is called in each step and each evaluation, ``stop.place`` says where; ``validation``
    gives the losses of the epochs.
    """
    model = keras.Sequential(
        [
            keras.Input((1,)),
            keras.layers.Dense(8, activation="tanh"),
            keras.layers.BatchNormalization(),
            Dropout(0.5),
            keras.layers.Dense(1),
        ]
    )
    run.initialize(model)
    schedule = keras.optimizers.schedules.CosineDecay(0.1, run.total_steps(SPLIT))

    def compute_loss(inputs, noise):
        outputs = ops.cast(model(inputs, training=True), "float32")
        return ops.mean((outputs - inputs**2 - 0.01 * noise) ** 2)

    make = gradient_steps if stack else gradient_step
    step = make(compute_loss, model, keras.optimizers.Adam(schedule))

    def with_noise(random, inputs):
        return inputs, random.standard_normal(inputs.shape, "float32")

    for epoch in run.epochs(step):
        for batch in run.batches(SPLIT, with_noise, stack):
            stop(f"step {epoch}")
            run.log(loss=step(*batch))
        stop(f"validation {epoch}")
        found = float(np.mean(model.predict(SPLIT[0], verbose=0) ** 2))
        run.log(validation_loss=validation[epoch - 1] if validation else found)
    stop("test")
    run.log(test_loss=float(np.mean(model.predict(SPLIT[0], verbose=0) ** 2)))
    run.save(model)
    return model


def stop_at(place, number=1, what=lambda: signal.raise_signal(signal.SIGINT)):
    """Does something at the ``number``-th time that the training is at a place."""
    left = number

    def stop(here):
        nonlocal left
        if here == place:
            left -= 1
            if left == 0:
                what()

    return stop


def begin(runs, changes=(), **options):
    return Run("toy", Config(**dict(changes)), Options(runs=runs, **options))


def again(folder, changes=(), **options):
    """The run in a folder, going on."""
    recorded = read_description(folder)["options"]
    config = {name: recorded[name] for name in ("epochs", "batch_size", "seed")}
    return Run(
        "toy", Config(**{**config, **dict(changes)}),
        Options(**{
            **{name: recorded[name] for name in recorded if name not in config},
            "runs": folder.parents[1], **options,
        }), folder,
    )  # fmt: skip


def whole(runs, validation=None, stack=None, **options):
    """The folder of a run that nobody disturbed."""
    with begin(runs, **options) as run:
        train(run, validation=validation, stack=stack)
    return run.folder


def disturbed(runs, stop, error=KeyboardInterrupt, validation=None, stack=None, **options):
    with pytest.raises(error):
        with begin(runs, **options) as run:
            train(run, stop, validation, stack)
    return run.folder


def resumed(folder, validation=None, stack=None, **options):
    with again(folder, **options) as run:
        train(run, validation=validation, stack=stack)
    return folder


def found(folder):
    """(rows, variables, weights of the model, TensorBoard's figures)."""
    tensors = load_file(max((folder / "checkpoints").glob("*.safetensors")))
    weights = keras.models.load_model(folder / "model.keras").get_weights()
    return (
        (folder / "metrics.jsonl").read_bytes(),
        {name: array.tobytes() for name, array in tensors.items()},
        [array.tobytes() for array in weights],
        event_reader.scalars(folder / "tensorboard"),
    )


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    return found(whole(tmp_path_factory.mktemp("calm")))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("place", "time", "done"),
    [
        ("step 1", 1, 1), ("step 1", 4, 4), ("validation 1", 1, 4), ("step 2", 2, 6),
        ("validation 3", 1, 12), ("test", 1, 12),
    ],
)  # fmt: skip
def test_ctrl_c_and_sigterm_lose_no_step(tmp_path, calm, place, time, done, number, capfd):
    error = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}[number]
    stop = stop_at(place, time, lambda: signal.raise_signal(number))
    folder = disturbed(tmp_path, stop, error)
    assert f"it goes on with: python -m recipes resume {folder}\n" in capfd.readouterr().err
    assert [row["step"] for row in read_run(folder).steps] == list(range(1, done + 1))
    assert found(resumed(folder)) == calm
    assert f"goes on after step {done} of epoch " in capfd.readouterr().out


def test_a_second_ctrl_c_does_not_wait_and_makes_no_checkpoint(tmp_path, calm):
    def twice():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("not reached")

    folder = disturbed(tmp_path, stop_at("step 2", 2, twice))
    (last,) = (folder / "checkpoints").glob("*.json")
    assert json.loads(last.read_text())["content"]["state"]["step"] == 4
    assert found(resumed(folder)) == calm


def test_ctrl_c_while_the_report_is_written_says_how_to_go_on(tmp_path, calm, capfd, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "write_report", lambda _: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            with begin(tmp_path) as run:
                train(run)
    hint = f"it goes on with: python -m recipes resume {run.folder}\n"
    assert capfd.readouterr().err.count(hint) == 1
    assert found(resumed(run.folder)) == calm
    assert hint not in capfd.readouterr().err


@pytest.mark.parametrize("seconds", [1e-9, 1e9])
@pytest.mark.parametrize("place", ["step 1", "step 2", "validation 2", "step 3", "test"])
def test_an_error_of_the_recipe_costs_the_steps_since_the_last_checkpoint(
    tmp_path, calm, place, seconds, capsys
):
    def fail():
        raise ZeroDivisionError

    folder = disturbed(
        tmp_path, stop_at(place, 3 if place.startswith("step") else 1, fail), ZeroDivisionError,
        checkpoint_seconds=seconds,
    )  # fmt: skip
    done = {"step 1": 2, "step 2": 6, "validation 2": 8, "step 3": 10, "test": 12}[place]
    if seconds == 1e9:  # at the end of an epoch only
        done = done // 4 * 4 if place != "validation 2" else 4
    capsys.readouterr()
    assert found(resumed(folder)) == calm
    printed = capsys.readouterr().out
    if done:
        assert f"goes on after step {done} of epoch {(done - 1) // 4 + 1}\n" in printed
    else:
        assert "starts again at step 0: there is no checkpoint yet\n" in printed
    assert "may differ" not in printed


def test_a_run_goes_on_many_times(tmp_path, calm):
    folder = disturbed(tmp_path, stop_at("step 1", 2))
    for place in ("step 1", "validation 1", "step 2", "step 3", "validation 3", "test"):
        with pytest.raises(KeyboardInterrupt):
            with again(folder) as run:
                train(run, stop_at(place))
    assert found(resumed(folder)) == calm
    assert len(read_description(folder)["resumed"]) == 7


@pytest.mark.parametrize("place", ["step 1", "step 2", "validation 1"])
def test_stacked_batches_go_on_too(tmp_path, place):
    expected = found(whole(tmp_path / "calm", stack=3))
    folder = disturbed(tmp_path, stop_at(place), stack=3)
    assert found(resumed(folder, stack=3)) == expected


def test_half_precision_goes_on_with_its_loss_scale(tmp_path):
    options = {"precision": "mixed_float16"}
    expected = found(whole(tmp_path / "calm", **options))
    folder = disturbed(tmp_path, stop_at("step 2", 2), **options)
    assert found(resumed(folder)) == expected


def test_rows_behind_the_checkpoint_are_made_again_and_stand_once(tmp_path, calm, monkeypatch):
    monkeypatch.setattr(run_module, "_SECONDS_BETWEEN_FETCHES", 0.0)

    def fail():
        raise ZeroDivisionError

    folder = disturbed(tmp_path, stop_at("step 3", 4, fail), ZeroDivisionError)
    assert len(read_run(folder).steps) == 11  # and the checkpoint is of step 8
    # Half a row, and half an event, as a kill may leave them.
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('{"epoch": 3, "st')
    for file in folder.glob("tensorboard/*/*"):
        file.write_bytes(file.read_bytes() + b"\x10\x00\x00")
    (folder / "unfinished-samples.png").write_bytes(b"half")
    assert found(resumed(folder)) == calm
    assert not list(folder.rglob("unfinished-*"))


def test_checkpoints_are_as_far_apart_as_asked(tmp_path, monkeypatch):
    now, saved = 0.0, []

    def pass_time(place):
        nonlocal now
        now += 10 if place.startswith("step") else 0

    save = run_module.Checkpoints.save
    monkeypatch.setattr(run_module, "time", SimpleNamespace(perf_counter=lambda: now))
    monkeypatch.setattr(
        run_module.Checkpoints, "save",
        lambda self, variables, state, **more: saved.append(state["step"])
        or save(self, variables, state, **more),
    )  # fmt: skip
    with begin(tmp_path, checkpoint_seconds=25) as run:
        train(run, pass_time)
    assert saved == [3, 4, 7, 8, 11, 12]


def test_the_rows_are_on_the_disk_before_the_checkpoint_that_counts_on_them(tmp_path, monkeypatch):
    synced, fsync = [], os.fsync

    def recorded(descriptor):
        synced.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    whole(tmp_path)
    for number in (1, 2, 3):
        before = synced[: synced.index(f"unfinished-{number:06d}.json")]
        for name in ("metrics.jsonl", "timings.jsonl", f"unfinished-{number:06d}.safetensors"):
            assert before.count(name) == (1 if name.startswith("unfinished") else number)


def test_seconds_go_on_from_the_checkpoint(tmp_path):
    folder = disturbed(tmp_path, stop_at("step 2", 3))
    path = max((folder / "checkpoints").glob("*.json"))
    before = json.loads(path.read_text())["content"]["state"]["seconds"]
    assert before["run"] > before["training"] > 0
    assert before["run"] > before["epoch"] > 0
    change_state(folder, seconds={"run": 5000.0, "epoch": 2000.0, "training": 1000.0})
    resumed(folder)
    first, second, third, total = (
        json.loads(line) for line in (folder / "timings.jsonl").read_text().splitlines()
    )
    assert first["seconds"] < 500
    assert 1000 < second["training_seconds"] < 1500
    assert 2000 < second["seconds"] < 2500
    assert second["steps_per_second"] == pytest.approx(4 / second["training_seconds"], rel=0.02)
    assert third["training_seconds"] < third["seconds"] < 500
    assert 5000 < total["seconds"] < 5500


def test_a_run_that_is_over_says_so(tmp_path):
    folder = whole(tmp_path)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=rf"^the run in {folder} is over since 2.*begin a new run"):
        again(folder)
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_that_goes_on_is_refused_to_a_second_process(tmp_path):
    with begin(tmp_path) as run:
        script = (
            "import sys; from recipes.__main__ import main\n"
            "import recipes.training.checkpoint as c; from pathlib import Path\n"
            "try: c.Checkpoints(Path(sys.argv[1]))\n"
            "except c.InputError as error: print(error)"
        )
        words = [sys.executable, "-c", script, str(run.folder)]
        refused = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        assert refused.startswith(f"another process is running {run.folder}: wait")
        train(run)


def test_a_folder_without_metrics_begins_at_step_0(tmp_path, calm):
    folder = disturbed(tmp_path, stop_at("step 1"))
    for path in folder.iterdir():
        if path.name != "config.json":
            path.unlink() if path.is_file() else shutil.rmtree(path)
    assert found(resumed(folder)) == calm


# What is refused.


def test_metrics_that_have_lost_rows_are_no_ground_for_a_checkpoint(tmp_path, capsys):
    folder = disturbed(tmp_path, stop_at("step 3", 2))
    path = folder / "metrics.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"step": 9', b'"step": 8'))
    capsys.readouterr()
    resumed(folder)
    assert "does not fit metrics.jsonl, whose first" in (error := capsys.readouterr().err)
    assert error.count("\n") == 1
    assert [row["step"] for row in read_run(folder).steps] == list(range(1, 13))

    folder = disturbed(tmp_path, stop_at("step 3", 2))
    os.truncate(folder / "metrics.jsonl", 10)
    with pytest.raises(InputError, match=r"^no checkpoint in .* does not fit metrics\.jsonl"):
        again(folder)


def change_state(folder, **changes):
    """Changes the newest checkpoint, checksums and all."""
    from recipes.training.checkpoint import _json_checksum

    path = max((folder / "checkpoints").glob("*.json"))
    content = json.loads(path.read_text())["content"]
    content["state"] |= changes
    path.write_text(json.dumps({"sha256": _json_checksum(content), "content": content}))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"recipe": "other"}, "is of another run: recipe is other, not toy: "),
        ({"options": {"seed": 1}}, "; seed is 1, not 0; "),
        ({"options": None}, "is damaged: TypeError"),
        ({"step": -1}, "is damaged: ValueError"),
        ({"epoch": "2"}, "is damaged: ValueError"),
        ({"batch": True}, "is damaged: ValueError: True is no count"),
        ({"events": {"training/events": "9"}}, "is damaged: ValueError: '9' is no count"),
        ({"events": [3]}, "is damaged: AttributeError"),
        ({"seconds": {"run": 1.0, "epoch": None, "training": 1.0}}, "ValueError: None is no numb"),
        ({"seconds": {"run": 1.0}}, "is damaged: KeyError"),
        ({"early_stopping": None}, "is damaged: TypeError"),
        ({"early_stopping": {"best": None, "waited": "1"}}, "ValueError: '1' is no count"),
        ({"early_stopping": {"best": 0, "waited": 1}}, "is damaged: TypeError"),
        (
            {"early_stopping": {"best": {**BEST, "checkpoint": "../1"}, "waited": 1}},
            "ValueError: '../1' is no count",
        ),
        (
            {"early_stopping": {"best": {**BEST, "validation_loss": "low"}, "waited": 1}},
            "ValueError: 'low' is no number",
        ),
        ({"best_checkpoint": [1]}, "000003.json: ValueError: [1] is no checkpoint"),
        ({"files": {"../../metrics.jsonl": [0, 0]}}, "is damaged: KeyError"),
        ({"files": None}, "is damaged: TypeError"),
    ],
)
def test_a_checkpoint_of_another_run_is_not_used(tmp_path, calm, changes, told, capsys):
    folder = disturbed(tmp_path, stop_at("step 3", 2))
    change_state(folder, **changes)
    capsys.readouterr()
    assert found(resumed(folder)) == calm
    error = capsys.readouterr().err
    assert told in error
    assert error.startswith("checkpoint 3 ") and error.endswith(": the one before is used\n")
    assert error.count("\n") == 1


def test_paths_in_a_checkpoint_lead_nowhere(tmp_path, calm):
    """The names of event files are looked up, and never opened."""
    folder = disturbed(tmp_path, stop_at("step 3", 2))
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path = max((folder / "checkpoints").glob("*.json"))
    events = json.loads(path.read_text())["content"]["state"]["events"]
    change_state(folder, events={**events, "../../../victim": 1, str(victim): 1})
    assert found(resumed(folder)) == calm
    assert victim.read_text() == "precious"


def test_code_that_does_not_fit_is_refused_and_nothing_is_lost(tmp_path, calm):
    folder = disturbed(tmp_path, stop_at("step 2", 2))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=r"the code has changed: variable 0 is .*/dense/kernel"):
        with again(folder) as run:
            model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
            run.initialize(model)
            step = gradient_step(
                lambda inputs: ops.mean(model(inputs, training=True)), model, keras.optimizers.SGD()
            )
            list(run.epochs(step))
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found(resumed(folder)) == calm


def test_other_data_is_refused(tmp_path):
    numbers = SimpleNamespace(NAME="numbers", EMBEDDED="numbers", embedded=lambda: (SPLIT, SPLIT))
    other = SimpleNamespace(**{**vars(numbers), "EMBEDDED": "others"})
    with pytest.raises(KeyboardInterrupt):
        with begin(tmp_path) as run:
            run.load(numbers)
            train(run, stop_at("step 2"))
    with pytest.raises(
        InputError, match=r"^the data has changed: .*numbers.* and there is .*other"
    ):
        with again(run.folder) as more:
            more.load(other)
    with again(run.folder) as more:
        more.load(numbers)
        train(more)


def test_a_run_that_begins_again_and_is_refused_keeps_its_folder(tmp_path):
    """A new one is removed, where nothing has been trained yet."""

    def fail():
        raise ZeroDivisionError

    folder = disturbed(tmp_path, stop_at("step 1", 1, fail), ZeroDivisionError)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(InputError):
        with again(folder):
            raise InputError("the data has changed")
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_source_of_the_data_stays_the_one_of_the_beginning(tmp_path, monkeypatch):
    asked = []

    def load(module, source, path):
        asked.append((source, path))
        return (SPLIT, SPLIT), {"source": "embedded", "description": "numbers"}

    monkeypatch.setattr(run_module.sources, "load", load)
    numbers = SimpleNamespace(NAME="numbers")
    with pytest.raises(KeyboardInterrupt):
        with begin(tmp_path) as run:
            run.load(numbers)
            train(run, stop_at("step 2"))
    with again(run.folder) as run:
        run.load(numbers, "mine.txt")
        train(run)
    assert asked == [("auto", ""), ("embedded", "mine.txt")]


def words_of(folder, *words, config_class=Config):
    return read_options(folder, read_description(folder), config_class, words)


def test_options_are_those_of_the_run(tmp_path):
    folder = disturbed(tmp_path, stop_at("step 1"), changes={"seed": 5})
    config, options = words_of(folder)
    assert config == Config(seed=5)
    assert options == Options(runs=tmp_path)
    assert words_of(folder, "--seed", "5", "--epochs", "3")[0] == config
    other = "jax" if BACKEND != "jax" else "torch"
    assert words_of(folder, "--backend", other)[1] == Options(runs=tmp_path, backend=other)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--seed", "1"], r"was begun with --seed 0, and not 1: leave the option out"),
        (["--epochs", "9"], r"was begun with --epochs 3, and not 9"),
        (["--patience", "2"], r"was begun with --patience 0, and not 2"),
        (["--epoch", "9"], r"Unknown option: --epoch"),
    ],
)
def test_other_options_are_refused(tmp_path, words, told):
    folder = disturbed(tmp_path, stop_at("step 1"))
    with pytest.raises(InputError, match=told):
        words_of(folder, *words)


def test_options_that_came_or_went_are_refused(tmp_path):
    @dataclass(frozen=True)
    class More(Config):
        momentum: float = 0.9

    @dataclass(frozen=True)
    class Fewer:
        epochs: int = 3
        seed: int = 0

    folder = disturbed(tmp_path, stop_at("step 1"))
    with pytest.raises(InputError, match=r"toy has the option --momentum, and .* has not: go back"):
        words_of(folder, config_class=More)
    with pytest.raises(InputError, match=rf"{folder} has the option --batch-size, and toy has not"):
        words_of(folder, config_class=Fewer)


# What differs.


def test_another_machine_is_told_and_recorded_and_the_run_goes_on(tmp_path, capsys, monkeypatch):
    folder = disturbed(tmp_path, stop_at("step 2"))
    now = run_module.environment(False)
    other = {
        **now, "threads": now["threads"] + 1, "code": "1234",
        "versions": {**now["versions"], "keras": "3.99"},
    }  # fmt: skip
    monkeypatch.setattr(run_module, "environment", lambda deterministic: other)
    capsys.readouterr()
    resumed(folder)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "may differ" in line]
    assert line == (
        f"what follows may differ in the last bits: code was {now['code']}, is 1234; keras was "
        f"{keras.__version__}, is 3.99; threads was {now['threads']}, is {now['threads'] + 1}"
    )
    (entry,) = read_description(folder)["resumed"]
    assert entry["differences"] == line.partition(": ")[2].split("; ")
    assert (entry["epoch"], entry["step"], entry["backend"]) == (2, 5, BACKEND)
    page = Page((folder / "report.html").read_text("utf-8"))
    (told,) = [text for text in page.texts("p") if "went on after step 5" in text]
    assert "threads was" in told


def test_differences_of_one_package_that_both_have():
    base = {"device": "a", "threads": 2, "git_commit": None, "code": "1"}
    before = {**base, "versions": {"keras": "1", "torch": "2"}}
    now = {**base, "versions": {"keras": "1", "jax": "3"}}
    assert differences(before, now) == []
    assert differences(before, {**now, "git_commit": "abc"}) == ["git commit was None, is abc"]


def test_a_gpu_that_does_not_repeat_is_told(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("recipes.training.describe.backend.accelerator", lambda: "a card")
    folder = disturbed(tmp_path, stop_at("step 2"))
    assert read_description(folder)["repeatable"] is False
    resumed(folder)
    assert "operations of this GPU do not repeat to the bit (--deterministic)" in (
        capsys.readouterr().out
    )
    assert "not to the bit" in " ".join(
        Page((folder / "report.html").read_text("utf-8")).texts("td")
    )


def test_the_checksum_of_the_code_knows_every_file(tmp_path):
    package = tmp_path / "zoo" / "family"
    package.mkdir(parents=True)
    (package / "model.py").write_text("a = 1")
    one = code_checksum(tmp_path)
    (package / "model.py").write_text("a = 2")
    two = code_checksum(tmp_path)
    (package / "model.py").rename(package / "other.py")
    assert len({one, two, code_checksum(tmp_path)}) == 3


# Early stopping.

TURNS = [0.5, 0.25, 0.375, 0.3125, 0.125, 0.1]


def stopping(runs, **options):
    return {"changes": {"epochs": 6}, "patience": 2, **options}


def test_patience_ends_the_run_with_the_weights_of_the_best_epoch(tmp_path, capsys):
    folder = whole(tmp_path, validation=TURNS, **stopping(tmp_path))
    run = read_run(folder)
    assert [row["validation_loss"] for row in run.epochs] == TURNS[:4]
    assert run.description["best"] == {"epoch": 2, "validation_loss": 0.25}
    assert "the weights are those of epoch 2, the best" in capsys.readouterr().out

    # They are those of a run that was ended there: the learning rate's schedule is the same.
    ended = disturbed(
        tmp_path, stop_at("step 3"), validation=TURNS, changes={"epochs": 6}, checkpoint_seconds=1e9
    )
    path = next(
        path for path in (ended / "checkpoints").glob("*.json")
        if json.loads(path.read_text())["content"]["state"]["step"] == 8
    )  # fmt: skip
    expected = load_file(path.with_suffix(".safetensors"))
    weights = keras.models.load_model(folder / "model.keras").trainable_weights
    for position, weight in enumerate(weights):
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), expected[str(position)])
    page = Page((folder / "report.html").read_text("utf-8"))
    assert any("The weights are those of epoch 2" in text for text in page.texts("p"))


def test_without_patience_the_last_weights_stay(tmp_path):
    folder = whole(tmp_path, validation=TURNS[:3])
    assert "best" not in read_description(folder)
    assert len(read_run(folder).epochs) == 3


@pytest.mark.parametrize("place", ["step 2", "step 3", "validation 4", "test"])
def test_early_stopping_goes_on_as_it_would_have(tmp_path, place):
    expected = whole(tmp_path / "calm", validation=TURNS, **stopping(tmp_path))
    folder = disturbed(tmp_path, stop_at(place), validation=TURNS, **stopping(tmp_path))
    resumed(folder, validation=TURNS)
    assert found(folder)[::2] == found(expected)[::2]
    assert read_description(folder)["best"] == read_description(expected)["best"]


def test_min_delta_counts(tmp_path):
    folder = whole(tmp_path, validation=TURNS, **stopping(tmp_path, min_delta=0.3))
    assert len(read_run(folder).epochs) == 3
    assert read_description(folder)["best"]["epoch"] == 1


def test_patience_needs_a_validation_loss(tmp_path):
    with pytest.raises(InputError, match=r"^--patience 2 watches the validation loss, which toy"):
        with begin(tmp_path, patience=2) as run:
            step = SimpleNamespace(variables=[])
            for _ in run.epochs(step):
                for _ in run.batches(SPLIT):
                    run.log(loss=1.0)
                run.log(validation_accuracy=1.0)


def test_a_best_checkpoint_that_is_damaged_is_told(tmp_path):
    folder = disturbed(tmp_path, stop_at("test"), validation=TURNS, **stopping(tmp_path))
    path = folder / "checkpoints" / "000002.safetensors"
    path.write_bytes(b"damaged")
    with pytest.raises(
        InputError, match=r"^the weights of the best epoch, 2, are lost: checkpoint 2 is damaged"
    ):
        resumed(folder, validation=TURNS)


# What ends a run.


def test_a_nan_leaves_the_last_good_checkpoint(tmp_path, monkeypatch):
    """Also where the thread would write one in each step."""
    monkeypatch.setattr(run_module, "_SECONDS_BETWEEN_FETCHES", 1e9)
    with pytest.raises(NonFiniteValue):
        with begin(tmp_path, checkpoint_seconds=1e-9) as run:
            weight = keras.Variable(np.ones(3, "float32"), name="weight")
            step = 0
            for _ in run.epochs(SimpleNamespace(variables=[weight])):
                for _ in run.batches(SPLIT):
                    step += 1
                    if step == 7:  # the loss of this step is still a number
                        weight.assign(np.full(3, np.nan, "float32"))
                    run.log(loss=1.0 if step <= 7 else float("nan"))
                run.log(validation_loss=1.0)
    steps = sorted(
        json.loads(path.read_text())["content"]["state"]["step"]
        for path in (run.folder / "checkpoints").glob("*.json")
    )
    assert steps[-1] == 6


def test_a_full_disk_in_a_checkpoint_ends_the_run_and_it_goes_on_later(tmp_path, capsys):
    expected = found(whole(tmp_path / "calm"))

    def fill():
        limit.enter_context(files_end_at(2000))

    with contextlib.ExitStack() as limit:
        with pytest.raises(CannotWrite, match=r"checkpoints/0000.*File too large"):
            with begin(tmp_path) as run:
                train(run, stop_at("step 2", 2, fill))
    assert found(resumed(run.folder)) == expected


def test_a_full_disk_at_ctrl_c_is_told(tmp_path):
    """The last checkpoint of a run is awaited: Ctrl-C alone would look as if it were there."""

    def fill_and_interrupt():
        limit.enter_context(files_end_at(1000))
        signal.raise_signal(signal.SIGINT)

    with contextlib.ExitStack() as limit:
        with pytest.raises((CannotWrite, KeyboardInterrupt)) as caught:
            with begin(tmp_path) as run:
                train(run, stop_at("step 1", 2, fill_and_interrupt))
    assert "File too large" in str(caught.value)


def test_an_unfinished_run_has_a_report_that_says_how_it_goes_on(tmp_path):
    folder = disturbed(tmp_path, stop_at("step 2", 2))
    page = write_report(folder).read_text("utf-8")
    assert f"python -m recipes resume {folder}" in page
