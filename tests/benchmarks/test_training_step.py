"""The benchmark at a tiny size: both sides do the same work. Times are not judged here."""

import json

import keras
import numpy as np

from benchmarks import side_by_side, training_step


def test_both_sides_do_the_same_work(tmp_path):
    row, (ours, fitted) = training_step.ours_against_fit(steps=2, rounds=1, batch_size=8)
    # Two warm-up steps and two timed ones each. Dropout draws its masks from the same seeds, so
    # what is left is the rounding of two differently compiled programs, which Adam enlarges.
    for mine, theirs in zip(ours, fitted, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=2e-5)
    side_by_side.write("training_step", [row], folder=tmp_path)
    backend = keras.backend.backend()
    written = json.loads((tmp_path / f"training_step-{backend}.json").read_text())
    assert written["rows"] == [row]
    assert written["versions"]["keras"] == keras.__version__
    assert row["lowest"] <= row["median"] <= row["highest"]


def test_ratio_is_ours_over_theirs(monkeypatch):
    clock = [0.0]

    def takes(seconds):
        def call():
            clock[0] += seconds

        return call

    monkeypatch.setattr(side_by_side.time, "perf_counter", lambda: clock[0])
    found = side_by_side.ratio(takes(3.0), takes(2.0), rounds=5)
    assert found["median"] == found["lowest"] == found["highest"] == 1.5
    assert (found["ours_seconds"], found["theirs_seconds"]) == (3.0, 2.0)
