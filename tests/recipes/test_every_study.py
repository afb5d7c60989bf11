"""One contract for all studies: what each finds at a fixed seed, on every backend."""

import json
import shlex
from typing import NamedTuple

import keras
import pytest

from recipes import __main__ as command_line
from recipes.training.saved_run import read_run
from tests.kills import kill, trained
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


ROWS = {
    "study_input_scaling": Row("--epochs 15", ["holds"] * 4),
    "study_perceptron_logic": Row("--epochs 40", ["holds"] * 4),
    "study_start_simple": Row("--epochs 2", ["holds"] * 3),
    "study_watch_both_losses": Row("--epochs 12", ["holds"] * 5),
}
STUDIES = sorted(name for name in command_line.recipes() if name.startswith("study_"))


@pytest.fixture(scope="module")
def run_of(tmp_path_factory):
    """The folder of a study's run."""
    folders = {}

    def run(name):
        if name not in folders:
            runs = tmp_path_factory.mktemp("runs")
            words = ["run", name, "--data", "embedded", "--runs", str(runs)]
            assert command_line.main([*words, *ROWS[name].short.split()]) == 0
            (folders[name],) = (runs / name).iterdir()
        return folders[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", BACKEND)
        yield run


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


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_that_was_killed_goes_on_to_the_same_bits(run_of, name, tmp_path):
    """By the command that the run recorded, in a process of its own."""
    folder = run_of(name)
    words = shlex.split(json.loads((folder / "config.json").read_text())["command"])[3:]
    words[words.index("--runs") + 1] = str(tmp_path)
    words[words.index("--checkpoint-seconds") + 1] = "0.001"
    kill("training:4", *words)
    (killed,) = (tmp_path / name).iterdir()
    assert command_line.main(["resume", str(killed)]) == 0
    assert (killed / "metrics.jsonl").read_bytes() == (folder / "metrics.jsonl").read_bytes()
    assert trained(killed) == trained(folder)
    found, expected = read_run(killed).description, read_run(folder).description
    assert found["verdicts"] == expected["verdicts"]
