"""What checkpoints cost: percent of the time of cnn_mnist on the embedded digits, report and all.

The training thread copies the variables and waits where the checkpoint before is not written yet;
the writing thread makes the file, its checksum, and calls the disk. 12 epochs have 12 checkpoints.
"""

import contextlib
import tempfile
import time
from pathlib import Path
from unittest import mock

from benchmarks.side_by_side import ratio, write
from recipes import cnn_mnist
from recipes.training.checkpoint import Checkpoints
from recipes.training.options import Options
from recipes.training.run import Run


def timed(name, clock, spent):
    """Replaces a method of ``Checkpoints`` by itself and a clock, which adds to ``spent[name]``."""
    method = getattr(Checkpoints, name)

    def call(*arguments, **options):
        started = clock()
        try:
            return method(*arguments, **options)
        finally:
            spent[name] = spent.get(name, 0.0) + clock() - started

    return mock.patch.object(Checkpoints, name, call)


def run(config, runs):
    """(seconds of a run, {method: seconds})."""
    spent = {}
    started = time.perf_counter()
    with contextlib.ExitStack() as clocks:
        clocks.enter_context(timed("save", time.perf_counter, spent))
        clocks.enter_context(timed("_write", time.thread_time, spent))
        with Run("cnn_mnist", config, Options(data="embedded", runs=runs)) as going:
            cnn_mnist.main(config, going)
    return time.perf_counter() - started, spent


def main(epochs=12, rounds=3, folder=None):
    config = cnn_mnist.Config(epochs=epochs)
    with tempfile.TemporaryDirectory() as runs:
        found = [run(config, Path(runs)) for _ in range(rounds)]
    rows = [
        ratio(
            f"checkpoints of cnn_mnist, {thread}, percent of the run",
            [100 * spent[method] for _, spent in found],
            [seconds for seconds, _ in found],
        )
        for thread, method in (
            ("seconds of the training thread", "save"),
            ("processor time of the writing thread", "_write"),
        )
    ]
    write("checkpoints", rows, folder)
