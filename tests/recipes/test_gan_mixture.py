import json

import keras
import pytest

from recipes import __main__ as command_line


def test_both_modes_are_found(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())
    assert command_line.main(["run", "gan_mixture", "--runs", str(tmp_path)]) == 0
    (folder,) = (tmp_path / "gan_mixture").iterdir()
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["test_low_mode"] == pytest.approx(-2.0, abs=0.1)
    assert last["test_high_mode"] == pytest.approx(2.0, abs=0.1)
    assert last["test_share_of_high_mode"] == pytest.approx(0.5, abs=0.1)
