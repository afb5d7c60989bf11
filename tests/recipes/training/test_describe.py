"""What config.json says of a run makes the run again."""

import json
import shlex
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import keras
import pytest

from recipes.training import backend
from recipes.training.describe import describe, git_commit
from recipes.training.options import Options, PositiveFloat, Seed, parse


@dataclass(frozen=True)
class Config:
    """Options.

    Parameters
    ----------
    learning_rate
        a number
    seed
        another
    """

    learning_rate: PositiveFloat = 1e-3
    seed: Seed = 0


CONFIG = Config(learning_rate=3.3e-05, seed=7)
OPTIONS = Options(data="embedded", precision="mixed_bfloat16", runs=Path("my runs/it's $HOME"))


def test_the_command_gives_the_same_options_back():
    words = shlex.split(describe("toy", CONFIG, OPTIONS)["command"])
    assert words[:5] == ["python", "-m", "recipes", "run", "toy"]
    assert parse("toy", Config, words[5:]) == (CONFIG, OPTIONS)
    assert words[5:7] == ["--learning-rate", "3.3e-05"]


def test_all_options_are_recorded_as_json_can():
    described = describe("toy", CONFIG, OPTIONS)
    assert json.loads(json.dumps(described)) == described
    assert described["options"] == {
        **asdict(CONFIG), **asdict(OPTIONS), "runs": "my runs/it's $HOME",
    }  # fmt: skip
    assert described["options"]["backend"] == keras.backend.backend()


def test_the_machine_and_the_time_are_recorded():
    described = describe("toy", CONFIG, OPTIONS)
    assert described["recipe"] == "toy"
    assert described["device"] == backend.device()
    assert described["threads"] == backend.thread_count()
    assert described["versions"] == backend.versions()
    assert described["git_commit"] == git_commit(Path(__file__).parents[3])
    assert described["pictures"] == {}
    started = datetime.fromisoformat(described["started"])
    assert started.microsecond == 0
    assert abs((datetime.now(UTC) - started).total_seconds()) < 60  # it says its time zone


@pytest.fixture
def git(tmp_path):
    def call(*words):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        return subprocess.run(
            ["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout.strip()

    return call


def test_git_commit(tmp_path, git):
    assert git_commit(tmp_path) is None
    git("init")
    assert git_commit(tmp_path) is None  # no commit yet
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-m", "first")
    commit = git("rev-parse", "HEAD")
    assert len(commit) == 40
    assert git_commit(tmp_path) == commit
    git("tag", "--annotate", "--message", "first", "v1")
    assert git_commit(tmp_path) == commit
    (tmp_path / "file").write_text("two")
    assert git_commit(tmp_path) == f"{commit}-dirty"


def test_a_folder_within_a_checkout_is_none(tmp_path, git):
    git("init")
    git("commit", "--allow-empty", "-m", "first")
    (tmp_path / "installed").mkdir()
    assert git_commit(tmp_path / "installed") is None


def test_a_machine_without_git(tmp_path, git, monkeypatch):
    git("init")
    git("commit", "--allow-empty", "-m", "first")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit(tmp_path) is None
