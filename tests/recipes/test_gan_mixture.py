import json

import keras
import pytest

from recipes import __main__ as command_line


@pytest.fixture
def figures_of_the_test(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())

    def run(*words):
        assert command_line.main(["run", "gan_mixture", "--runs", str(tmp_path), *words]) == 0
        (folder,) = (tmp_path / "gan_mixture").iterdir()
        return json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])

    return run


def test_both_modes_are_found(figures_of_the_test):
    last = figures_of_the_test()
    assert last["test_low_mode"] == pytest.approx(-2.0, abs=0.1)
    assert last["test_high_mode"] == pytest.approx(2.0, abs=0.1)
    assert last["test_share_of_high_mode"] == pytest.approx(0.5, abs=0.1)


def test_one_mode_alone_is_no_error(figures_of_the_test):
    last = figures_of_the_test("--epochs", "1", "--seed", "1")
    found = {"test_low_mode", "test_high_mode"} & last.keys()
    assert len(found) == 1
    assert last["test_share_of_high_mode"] == ("test_high_mode" in found)
