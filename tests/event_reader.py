"""TensorBoard's own readers of event files, kept from importing TensorFlow, which takes seconds."""

import sys
import types

# The module by which TensorBoard is told to do without.
sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("tensorboard.compat.notf"))

from tensorboard.backend.event_processing.event_accumulator import (  # noqa: E402
    SCALARS,
    EventAccumulator,
)
from tensorboard.backend.event_processing.event_file_loader import (  # noqa: E402
    EventFileLoader,
)


def scalars(folder):
    """{part: {tag: [(step, value)]}} of all that TensorBoard finds in the folders of a folder."""
    found = {}
    for part in sorted(path.name for path in folder.iterdir()):
        # 0 keeps all; it would keep a sample of them.
        accumulator = EventAccumulator(str(folder / part), size_guidance={SCALARS: 0}).Reload()
        tags = accumulator.Tags()["scalars"]
        found[part] = {
            tag: [(event.step, event.value) for event in accumulator.Scalars(tag)] for tag in tags
        }
    return found


def events(file):
    """The events of a file, in order."""
    return list(EventFileLoader(str(file)).Load())
