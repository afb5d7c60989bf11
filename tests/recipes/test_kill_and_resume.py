"""Real runs in processes of their own, killed by SIGKILL, that go on to the same last bit."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from recipes import __main__ as command_line
from recipes.training.saved_run import read_description, read_run
from tests import event_reader
from tests.kills import CHECKOUT, kill, trained

BACKEND = keras.backend.backend()
# Two epochs of few steps, and a checkpoint after nearly each.
OPTIONS = {
    "bert_intents": [
        "--epochs", "2", "--weights", "none", "--width", "16", "--depth", "1", "--num-heads", "2",
        "--length", "8", "--batch-size", "200",
    ],
    "cnn_mnist": ["--epochs", "2", "--batch-size", "600"],
    "finetune_images": ["--epochs", "2", "--head-epochs", "1", "--batch-size", "200"],
    "gan_mixture": ["--epochs", "2", "--batch-size", "400"],
    "gpt_characters": [
        "--epochs", "2", "--steps", "6", "--context", "8", "--width", "16", "--depth", "1",
        "--num-heads", "2", "--characters", "8",
    ],
    "lstm_forecast": ["--epochs", "2", "--batch-size", "32", "--lookback", "24"],
    "lstm_intents": ["--epochs", "2", "--batch-size", "200", "--length", "5"],
    "lstm_names": ["--epochs", "2", "--batch-size", "96", "--width", "32"],
    "resnet_cifar10": ["--epochs", "2", "--batch-size", "150", "--learning-rate", "0.001"],
    "seq2seq_dates": ["--epochs", "2", "--batch-size", "2000", "--width", "8"],
    "tagger": ["--epochs", "2", "--batch-size", "200", "--length", "5"],
    "translate_transformer": [
        "--epochs", "2", "--batch-size", "600", "--vocabulary-size", "300", "--length", "8",
        "--width", "16", "--depth", "1", "--num-heads", "2", "--hidden-width", "16",
    ],
    "vit_cifar10": [
        "--epochs", "2", "--batch-size", "150", "--patch-size", "16", "--width", "16", "--depth",
        "1", "--num-heads", "2",
    ],
    "vit_digits": [
        "--epochs", "2", "--batch-size", "200", "--patch-size", "14", "--width", "16", "--depth",
        "1", "--num-heads", "2",
    ],
}  # fmt: skip
COMMON = ["--data", "embedded", "--checkpoint-seconds", "0.001"]
# By how much another backend may differ from the run's own, after so many steps.
BOUNDS = {1: 1e-6, 10: 1e-3, 50: 2e-2}


def test_every_recipe_is_killed():
    """Studies are in test_every_study.py."""
    recipes = command_line.recipes()
    assert sorted(OPTIONS) == sorted(name for name in recipes if not name.startswith("study_"))


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """The folder of a recipe's run that nobody disturbed."""
    folders = {}

    def run(name):
        if name not in folders:
            runs = tmp_path_factory.mktemp("calm")
            words = ["run", name, *COMMON, *OPTIONS[name], "--runs", str(runs)]
            assert command_line.main(words) == 0
            (folders[name],) = (runs / name).iterdir()
        return folders[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", BACKEND)
        yield run


def killed(moment, name, runs):
    """The folder of a run that was killed."""
    kill(moment, "run", name, "--backend", BACKEND, *COMMON, *OPTIONS[name], "--runs", runs)
    (folder,) = (runs / name).iterdir()
    return folder


@pytest.fixture(scope="module")
def killed_early(tmp_path_factory):
    """A function that gives a copy of the folder of a recipe's run, killed at its 4th step."""
    folders = {}

    def copy(name, runs):
        if name not in folders:
            folders[name] = killed("training:4", name, tmp_path_factory.mktemp("killed"))
        return Path(shutil.copytree(folders[name], runs / name / folders[name].name))

    return copy


MOMENTS = {
    "training:1": {"steps": 0, "epochs": 0, "test": False},
    "training:25": {"steps": 24, "epochs": 1, "test": False},
    "evaluation:2": {"steps": 36, "epochs": 1, "test": False},
    "tensors:2": {"epochs": 0, "test": False},
    "state:3": {"epochs": 0, "test": False},
    "report:1": {"steps": 36, "epochs": 2, "test": True},
    "finish:1": {"steps": 36, "epochs": 2, "test": True},
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_that_was_killed_at_any_moment_goes_on_to_the_same_bits(
    calm, moment, tmp_path, capsys
):
    """A small recipe, for what all have in common."""
    folder = killed(moment, "gan_mixture", tmp_path)
    run, left = read_run(folder), MOMENTS[moment]
    found = {"steps": len(run.steps), "epochs": len(run.epochs), "test": bool(run.test)}
    if moment.startswith("training"):
        assert found["steps"] <= left["steps"]
        found["steps"] = left["steps"]  # the last ones may be unwritten
    assert {key: found[key] for key in left} == left
    printed = goes_on(folder, calm("gan_mixture"), capsys)
    first = moment == "training:1"
    assert ("starts again at step 0" if first else "goes on after step") in printed

    assert command_line.main(["resume", str(folder)]) == 2
    assert f"error: the run in {folder} is over since " in capsys.readouterr().err


@pytest.mark.parametrize("name", OPTIONS)
def test_every_recipe_goes_on_to_the_same_bits(calm, killed_early, name, tmp_path, capsys):
    folder = killed_early(name, tmp_path)
    assert not read_run(folder).epochs
    assert "goes on after step" in goes_on(folder, calm(name), capsys)


def test_what_is_trained_by_a_second_step_goes_on_to_the_same_bits(calm, tmp_path, capsys):
    """After the output layer alone was trained, by a step of its own."""
    folder = killed("training:9", "finetune_images", tmp_path)
    assert len(read_run(folder).epochs) == 1
    assert "goes on after step" in goes_on(folder, calm("finetune_images"), capsys)


def goes_on(folder, undisturbed, capsys):
    """Resumes a run, compares it with one that nobody disturbed, and returns what it printed."""
    capsys.readouterr()
    assert command_line.main(["resume", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "may differ" not in printed
    assert trained(folder) == trained(undisturbed)
    scalars = [event_reader.scalars(each / "tensorboard") for each in (folder, undisturbed)]
    assert scalars[0] == scalars[1]
    assert "not over" not in (folder / "report.html").read_text("utf-8")
    names = [{path.name for path in each.iterdir()} for each in (folder, undisturbed)]
    assert names[0] == names[1]
    return printed


def start(*words):
    return subprocess.Popen(
        [sys.executable, "-m", "recipes", *map(str, words)], cwd=CHECKOUT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_process_that_gets_a_signal_leaves_a_checkpoint(number, code, word, tmp_path, calm):
    words = ["--data", "embedded", "--epochs", "500", "--batch-size", "400"]
    process = start("run", "gan_mixture", "--backend", BACKEND, *words, "--runs", tmp_path)
    for line in process.stdout:
        if line.startswith("epoch 3/"):
            break
    (folder,) = (tmp_path / "gan_mixture").iterdir()

    # A second process is refused, and changes nothing.
    second = start("resume", folder)
    _, errors = second.communicate(timeout=120)
    assert second.returncode == 2
    (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: another process is running {folder}: wait until it is over")

    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == code
    lines = errors.splitlines()
    assert lines[-2:] == [f"it goes on with: python -m recipes resume {folder}", word]
    assert "Traceback" not in errors
    newest = max((folder / "checkpoints").glob("*.json"))
    state = json.loads(newest.read_text())["content"]["state"]
    assert state["step"] == len(read_run(folder).steps) > 0


# All in one process: most of its time goes into starting the backend.
RESUME_ALL = """
import os
import sys

from recipes.__main__ import main

for folder in sys.argv[1:]:
    assert main(["resume", folder, "--backend", os.environ["KERAS_BACKEND"]]) == 0, folder
"""


def test_another_backend_goes_on_along_the_same_curve(tmp_path, calm, killed_early):
    """From the middle of an epoch; over the three backends, each is followed by each other."""
    others = {"tensorflow": "jax", "jax": "torch", "torch": "tensorflow"}
    other = others[BACKEND]
    if importlib.util.find_spec(other) is None:
        pytest.skip(f"{other} is not installed")
    folders = {name: killed_early(name, tmp_path) for name in OPTIONS}
    process = subprocess.run(
        [sys.executable, "-c", RESUME_ALL, *map(str, folders.values())], cwd=CHECKOUT,
        capture_output=True, text=True, check=False, env={**os.environ, "KERAS_BACKEND": other},
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    for name, folder in folders.items():
        assert f"{name} on {other}, " in process.stdout
        assert process.stdout.count(f"backend was {BACKEND}, is {other}") == len(OPTIONS)
        (entry,) = read_description(folder)["resumed"]
        assert entry["backend"] == other
        first = entry["step"]
        assert first < 4
        runs = read_run(folder), read_run(calm(name))
        assert runs[0].steps[:first] == runs[1].steps[:first]
        rows = [run.steps[first:] for run in runs]
        assert [row["step"] for row in rows[0]] == [row["step"] for row in rows[1]]
        for count, bound in BOUNDS.items():
            for figure in rows[0][0].keys() - {"epoch", "step"}:
                pair = [[row[figure] for row in each[:count]] for each in rows]
                np.testing.assert_allclose(*pair, rtol=bound, atol=0, err_msg=f"{count} {figure}")
        assert command_line.backend_of(folder) == other


def test_resume_takes_a_run_of_the_recipe_alone(tmp_path, capsys):
    folder = killed("training:1", "gan_mixture", tmp_path)
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


def test_the_harness_sees_a_run_that_is_not_the_same(tmp_path, calm):
    """What a resume that forgot one thing would leave."""
    words = ["run", "gan_mixture", *COMMON, *OPTIONS["gan_mixture"], "--learning-rate", "1e-3"]
    assert command_line.main([*words, "--runs", str(tmp_path)]) == 0
    (other,) = (tmp_path / "gan_mixture").iterdir()
    pairs = zip(trained(other), trained(calm("gan_mixture")), strict=True)
    assert not any(one == two for one, two in pairs)


def test_the_harness_kills_at_random(tmp_path):
    process = subprocess.run(
        [sys.executable, "-m", "tests.kills", "--recipe", "gan_mixture", "--kills", "2"],
        cwd=CHECKOUT, capture_output=True, text=True, check=False,
        env={**os.environ, "KERAS_BACKEND": BACKEND},
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    last = json.loads(process.stdout.splitlines()[-1])
    assert last["kills"] == sum(last["phases"].values()) == 2
    assert last["runs"] == last["identical"]
