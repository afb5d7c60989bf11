"""A run's figures for TensorBoard, written without TensorFlow.

    tensorboard --logdir runs

Training, validation and test are a folder each, so that their curves share one chart.
"""

import time

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from recipes.training.folder import GrowingFile, cut, make_subfolder, remove


class EventFiles:
    """Event files below one folder, a subfolder for each part of the data.

    Each process writes files of its own, which TensorBoard reads one after another.

    Args:
        folder: made if it is not there.
        kept: {path below the folder: bytes}: what stays of files that are there, as ``sizes``
            said; all else of them goes.

    Raises:
        CannotWrite: the disk is full, or the run folder is gone; so does ``write``.
    """

    def __init__(self, folder, kept=None):
        self._folder = folder
        self._writers = {}
        self.sizes = {}
        make_subfolder(folder)
        for path in sorted(folder.glob("*/events.out.tfevents.*")):
            name = path.relative_to(folder).as_posix()
            size = min((kept or {}).get(name, 0), path.stat().st_size)
            if size:
                cut(path, size)
                self.sizes[name] = size
            else:
                remove(path)

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
            # TensorBoard knows its files by this name, and reads them in its order.
            path = folder / f"events.out.tfevents.{time.time_ns():020}"
            file = GrowingFile(path)
            self._writers[part] = path.relative_to(self._folder).as_posix(), file
            self._append(part, Event(wall_time=event.wall_time, file_version="brain.Event:2"))
        name, file = self._writers[part]
        RecordWriter(file).write(event.SerializeToString())
        self.sizes[name], _ = file.extent

    def close(self):
        for _, file in self._writers.values():
            file.close()
