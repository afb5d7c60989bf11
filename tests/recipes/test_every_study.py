"""One contract for all studies: what each finds at a fixed seed, on every backend."""

import functools
import itertools
from typing import NamedTuple

import keras
import pytest

from recipes import __main__ as command_line
from recipes.training.backend import accelerator
from recipes.training.saved_run import read_run
from tests.kills import assert_same, kill_here
from tests.page import Page

BACKEND = keras.backend.backend()


class Row(NamedTuple):
    """What is known of a study.

    Attributes:
        short: options that make its run short.
        verdicts: of its statements, in their order.
    """

    short: str
    verdicts: list


# What a GPU has to be there for.
HARDWARE = "not measured" if accelerator() is None else "holds"
ROWS = {
    "study_activations": Row("--epochs 2", ["holds"] * 4),
    "study_augmentation": Row(
        "--digits 150 --epochs 40 --batch-size 30 --learning-rate 0.005", ["holds"] * 2
    ),
    "study_backpropagation": Row("--epochs 4", ["holds"] * 3),
    "study_batch_norm": Row("--epochs 12 --learning-rate 0.3", ["holds"] * 3),
    "study_dead_units": Row("--epochs 2", ["holds"] * 3),
    "study_depth_and_width": Row("--epochs 7", ["holds"] * 2),
    "study_dropout": Row("--epochs 20 --learning-rate 0.004 --wrong-labels 0.3", ["holds"] * 3),
    "study_early_stopping": Row(
        "--epochs 30 --learning-rate 0.005", ["holds", "holds", "does not hold", "holds", "holds"]
    ),
    "study_features": Row("--epochs 16 --batch-size 25 --width 8", ["holds"] * 3),
    "study_ingredients": Row("--epochs 3", ["holds", "holds", HARDWARE, "holds"]),
    "study_input_scaling": Row("--epochs 15", ["holds"] * 4),
    "study_learning_rate": Row("--epochs 3", ["holds"] * 5),
    "study_losses": Row("", ["holds"] * 8),
    "study_optimizers": Row("--epochs 1", ["holds"] * 6),
    "study_perceptron_logic": Row("--epochs 80", ["holds"] * 4),
    "study_start_simple": Row("--epochs 2", ["holds"] * 2),
    "study_universal_approximation": Row("", ["holds"] * 5),
    "study_watch_both_losses": Row("--epochs 12", ["holds"] * 5),
    "study_weight_decay": Row("--epochs 30", ["holds"] * 5),
    "study_wide_networks": Row("--epochs 25 --learning-rate 0.004", ["holds"] * 3),
}
STUDIES = sorted(name for name in command_line.recipes() if name.startswith("study_"))


@pytest.fixture(scope="module", autouse=True)
def backend_of_this_process():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", BACKEND)
        yield


def run_study(name, runs, **others):
    """The folder of a short run; other options take the place of the row's."""
    words = ROWS[name].short.split()
    options = dict(zip(words[::2], words[1::2], strict=True))
    options |= {f"--{option}": value for option, value in others.items()}
    given = itertools.chain.from_iterable(options.items())
    words = ["run", name, "--data", "embedded", "--runs", str(runs), *given]
    assert command_line.main(words) == 0
    (folder,) = (runs / name).iterdir()
    return folder


@pytest.fixture(scope="module")
def run_of(tmp_path_factory):
    """The folder of a study's short run."""
    return functools.cache(lambda name: run_study(name, tmp_path_factory.mktemp("runs")))


def test_every_study_is_known_here():
    assert sorted(ROWS) == STUDIES


@pytest.mark.parametrize("name", STUDIES)
def test_the_verdicts_are_those_of_the_seed(run_of, name):
    verdicts = read_run(run_of(name)).description["verdicts"]
    assert [found["verdict"] for found in verdicts.values()] == ROWS[name].verdicts, verdicts
    for statement, found in verdicts.items():
        assert statement[0].isupper() and not statement.endswith(".")
        assert found["measured"]


@pytest.mark.parametrize("name", STUDIES)
def test_the_report_has_the_verdicts_and_the_pictures(run_of, name):
    run = read_run(run_of(name))
    page = Page((run.folder / "report.html").read_text("utf-8"))
    assert page.tables()[0] == [
        [found["verdict"], statement, found["measured"]]
        for statement, found in run.description["verdicts"].items()
    ]
    captions = [caption for heading, caption, _ in page.pictures() if heading == "Test"]
    assert captions == list(run.description["pictures"].values())
    assert captions
    assert run.test


# What a study forgets, it forgets on every backend: tried where it takes least time.
@pytest.mark.skipif(BACKEND != "torch", reason="on PyTorch alone")
@pytest.mark.parametrize("name", STUDIES)
def test_a_study_that_was_killed_goes_on_to_the_same_bits(run_of, name, tmp_path):
    """Also what it says at the end, which is no less of so short a run."""
    is_short = ROWS[name].short.split()[:2] in (["--epochs", "1"], ["--epochs", "2"])
    folder = run_of(name) if is_short else run_study(name, tmp_path / "whole", epochs="1")
    killed = kill_here(2, folder, tmp_path / "killed")
    assert command_line.main(["resume", str(killed)]) == 0
    assert_same(killed, folder)
    found, expected = read_run(killed).description, read_run(folder).description
    assert found["verdicts"] == expected["verdicts"]
