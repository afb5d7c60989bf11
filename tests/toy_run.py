"""Run folders as runs leave them, written by hand: no model, no backend."""

import json

from recipes.training.saved_run import read_run

DESCRIPTION = {
    "recipe": "toy",
    "started": "2026-01-01T12:00:00+00:00",
    "command": "python -m recipes run toy --name '<b>&'",
    "options": {"batch_size": 4, "seed": 0, "backend": "jax", "runs": "a <folder>"},
    "device": "a <processor>",
    "threads": 2,
    "versions": {"python": "3.11.7", "keras": "3.15.1"},
    "git_commit": "0123456789abcdef0123456789abcdef01234567-dirty",
    "pictures": {"second.png": "Wrong & <sure>.", "first.png": "Numbers."},
    "data": {"name": "numbers", "source": "embedded", "description": "ten <numbers>"},
    "model": {"name": "toy", "parameters": 421930},
}
PICTURES = {"first.png": b"\x89PNG not really", "second.png": b"\x89PNG neither"}
STEPS = [
    {"epoch": 1, "step": 1, "loss": 4.0},
    {"epoch": 1, "step": 2, "loss": 2.0},
    {"epoch": 2, "step": 3, "loss": 1.0},
    {"epoch": 2, "step": 4, "loss": 0.5},
]
EPOCHS = [
    {"epoch": 1, "step": 2, "training_loss": 3.0, "validation_loss": 3.5,
     "validation_accuracy": 0.5},
    {"epoch": 2, "step": 4, "training_loss": 0.75, "validation_loss": 1.5,
     "validation_accuracy": 0.875},
]  # fmt: skip
TEST = {"epoch": 2, "step": 4, "test_accuracy": 0.9921, "test_loss": 0.01234567}
ROWS = [*STEPS[:2], EPOCHS[0], *STEPS[2:], EPOCHS[1], TEST]
TIMINGS = [
    {"epoch": 1, "seconds": 9.0, "training_seconds": 8.0, "steps_per_second": 0.25},
    {"epoch": 2, "seconds": 1.0, "training_seconds": 0.5, "steps_per_second": 4.0},
    {"seconds": 65.0},
]


def write(folder, rows=ROWS, timings=TIMINGS, leave_out=(), **description):
    """Writes a run folder whose config.json has other values, or lacks some; returns it."""
    folder.mkdir(parents=True)
    described = {**DESCRIPTION, **description}
    for name in leave_out:
        del described[name]
    (folder / "config.json").write_text(json.dumps(described))
    for name, lines in (("metrics.jsonl", rows), ("timings.jsonl", timings)):
        (folder / name).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    for name in described.get("pictures", {}):
        (folder / name).write_bytes(PICTURES[name])
    return folder


def saved(folder, **changes):
    """The same, as a ``SavedRun``."""
    return read_run(write(folder, **changes))
