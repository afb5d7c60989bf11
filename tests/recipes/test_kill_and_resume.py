"""Real runs in processes of their own, killed by SIGKILL, that go on to the same last bit."""

import json
import os
import signal
import subprocess
import sys

import keras
import pytest

from recipes import __main__ as command_line
from recipes.training.saved_run import read_run
from tests.kills import CHECKOUT, assert_same, kill, trained

BACKEND = keras.backend.backend()
# What a kill leaves is files, which know of no backend.
any_backend = pytest.mark.any_backend
# A small recipe, for what all have in common: two epochs of 18 steps, and a checkpoint after each.
RUN = [
    "run", "gan_mixture", "--data", "embedded", "--epochs", "2", "--batch-size", "400",
    "--checkpoint-seconds", "0.001",
]  # fmt: skip


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """The folder of a run that nobody disturbed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", BACKEND)
        runs = tmp_path_factory.mktemp("calm")
        assert command_line.main([*RUN, "--runs", str(runs)]) == 0
        yield only(runs)


def killed(moment, runs):
    """The folder of a run that was killed."""
    kill(moment, *RUN, "--backend", BACKEND, "--runs", runs)
    return only(runs)


def only(runs):
    (folder,) = (runs / "gan_mixture").iterdir()
    return folder


MOMENTS = {
    "training:1": {"steps": 0, "epochs": 0, "test": False},
    "training:25": {"steps": 24, "epochs": 1, "test": False},
    "evaluation:2": {"steps": 36, "epochs": 1, "test": False},
    "tensors:2": {"epochs": 0, "test": False},
    "state:3": {"epochs": 0, "test": False},
    "report:1": {"steps": 36, "epochs": 2, "test": True},
    "finish:1": {"steps": 36, "epochs": 2, "test": True},
}


@pytest.mark.parametrize(
    "moment",
    [pytest.param(each, marks=[] if each == "training:25" else any_backend) for each in MOMENTS],
)
def test_a_run_that_was_killed_at_any_moment_goes_on_to_the_same_bits(
    calm, moment, tmp_path, capsys
):
    folder = killed(moment, tmp_path)
    run, left = read_run(folder), MOMENTS[moment]
    found = {"steps": len(run.steps), "epochs": len(run.epochs), "test": bool(run.test)}
    if moment.startswith("training"):
        assert found["steps"] <= left["steps"]
        found["steps"] = left["steps"]  # the last ones may be unwritten
    assert {key: found[key] for key in left} == left

    assert command_line.main(["resume", str(folder)]) == 0
    printed = capsys.readouterr().out
    first = moment == "training:1"
    assert ("starts again at step 0" if first else "goes on after step") in printed
    assert "may differ" not in printed
    assert_same(folder, calm)

    assert command_line.main(["resume", str(folder)]) == 2
    assert f"error: the run in {folder} is over since " in capsys.readouterr().err


def start(*words):
    return subprocess.Popen(
        [sys.executable, "-m", "recipes", *map(str, words)], cwd=CHECKOUT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [
        (signal.SIGINT, 130, "interrupted"),
        pytest.param(signal.SIGTERM, 143, "terminated", marks=any_backend),
    ],
)
def test_a_process_that_gets_a_signal_leaves_a_checkpoint(number, code, word, tmp_path, calm):
    # More epochs than a slow machine lets it have until the second process has begun.
    process = start(
        "run", "gan_mixture", "--backend", BACKEND, "--data", "embedded", "--epochs", "100000",
        "--batch-size", "400", "--runs", tmp_path,
    )  # fmt: skip
    for line in process.stdout:
        if line.startswith("epoch 3/"):
            break
    folder = only(tmp_path)

    if number == signal.SIGINT:
        # A second process is refused, and changes nothing.
        second = start("resume", folder)
        _, errors = second.communicate(timeout=600)
        assert second.returncode == 2
        (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
        assert line.startswith(f"error: another process is running {folder}: wait until it is over")

    process.send_signal(number)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == code
    lines = errors.splitlines()
    assert lines[-2:] == [f"it goes on with: python -m recipes resume {folder}", word]
    assert "Traceback" not in errors
    newest = max((folder / "checkpoints").glob("*.json"))
    state = json.loads(newest.read_text())["content"]["state"]
    assert state["step"] == len(read_run(folder).steps) > 0


@any_backend
def test_resume_takes_a_run_of_the_recipe_alone(tmp_path, capsys):
    folder = killed("training:1", tmp_path)
    for words, told in [
        (["--recipe", "cnn_mnist", str(folder)], "is a run of gan_mixture, and not of cnn_mnist"),
        ([str(folder), "--epochs", "5"], "was begun with --epochs 2, and not 5: leave the option"),
        ([str(folder), "--noise-width", "5"], "was begun with --noise-width 4, and not 5"),
        ([str(folder), "--backend", "theano"], "there is no backend 'theano': choose tensorflow"),
        ([str(tmp_path)], "is no run folder, it has no config.json"),
        ([], "RUN"),
    ]:
        assert command_line.main(["resume", *words]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1
        assert told in error
    assert read_run(folder).steps == []
    assert command_line.main(["resume", str(folder), "--help"]) == 0
    assert "--noise-width" in capsys.readouterr().out
    assert command_line.main(["resume", "--recipe", "gan_mixture", str(folder)]) == 0


@any_backend
def test_the_harness_sees_a_run_that_is_not_the_same(tmp_path, calm):
    """What a resume that forgot one thing would leave."""
    assert command_line.main([*RUN, "--learning-rate", "1e-3", "--runs", str(tmp_path)]) == 0
    pairs = zip(trained(only(tmp_path)), trained(calm), strict=True)
    assert not any(one == two for one, two in pairs)


@any_backend
def test_the_harness_kills_at_random(tmp_path):
    process = subprocess.run(
        [sys.executable, "-m", "tests.kills", "--recipe", "gan_mixture", "--kills", "1"],
        cwd=CHECKOUT, capture_output=True, text=True, check=False,
        env={**os.environ, "KERAS_BACKEND": BACKEND},
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    last = json.loads(process.stdout.splitlines()[-1])
    assert last["kills"] == sum(last["phases"].values()) == 1
    assert last["runs"] == last["identical"]
