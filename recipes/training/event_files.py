"""A run's figures for TensorBoard, written without TensorFlow.

    tensorboard --logdir runs

Training, validation and test are a folder each, so that their curves share one chart.
"""

import time

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from recipes.training.folder import GrowingFile, make_subfolder


class EventFiles:
    """Event files below one folder, a subfolder for each part of the data.

    Args:
        folder: made anew.

    Raises:
        CannotWrite: the disk is full, or the run folder is gone; so does ``write``.
    """

    def __init__(self, folder):
        self._folder = make_subfolder(folder)
        self._writers = {}

    def write(self, row):
        """Appends the figures of a row of metrics.jsonl, except the means over an epoch's steps."""
        figures = {}  # part of the data: [(tag, value)]
        for name, value in row.items():
            part, _, tag = name.partition("_")
            if part in ("validation", "test"):
                figures.setdefault(part, []).append((tag, value))
            elif part != "training" and name not in ("epoch", "step"):
                figures.setdefault("training", []).append((name, value))
        for part, values in figures.items():
            summary = Summary(value=[Summary.Value(tag=t, simple_value=v) for t, v in values])
            self._append(part, Event(wall_time=time.time(), step=row["step"], summary=summary))

    def _append(self, part, event):
        if part not in self._writers:
            folder = make_subfolder(self._folder / part)
            # TensorBoard knows its files by this name.
            file = GrowingFile(folder / f"events.out.tfevents.{time.time():.0f}")
            self._writers[part] = RecordWriter(file)
            self._append(part, Event(wall_time=event.wall_time, file_version="brain.Event:2"))
        self._writers[part].write(event.SerializeToString())

    def close(self):
        for writer in self._writers.values():
            writer.close()
