"""Where the time of a training step goes: the operations that take longest, ours and native.

By each framework's own profiler, over the threads of the CPU; on JAX, whose programs are whole,
over the parts that XLA makes of them.
"""

import re
import tempfile
from collections import Counter
from itertools import islice
from pathlib import Path

import keras

from benchmarks.networks import NETWORKS
from benchmarks.side_by_side import write
from benchmarks.training_step import make_sides

# Operation by operation: what is compiled has no operations of its own to tell.
SIDES = {
    "tensorflow": ("ours", "native graph"),
    "jax": ("ours", "native jitted"),
    "torch": ("ours", "native eager"),
}
SHOWN = 8


def operations(train):
    """Seconds that ``train()`` spends in each kind of operation: a Counter."""
    profile = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
    return profile[keras.backend.backend()](train)


def _tensorflow(train):
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            train()
        (file,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(file.read_bytes())
    found = Counter()
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                # "gradient_tape/conv/Conv2DBackpropInput:_MklNativeConv2DBackpropInput"
                name = plane.event_metadata[event.metadata_id].name
                operation = re.fullmatch(r"[^: ]+:(?:_Mkl(?:Native)?)?(\w+)", name)
                if operation:
                    found[operation[1]] += event.duration_ps / 1e12
    return found


def _jax(train):
    import jax

    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            train()
        (file,) = Path(folder).rglob("*.xplane.pb")
        profile = jax.profiler.ProfileData.from_file(str(file))
    found = Counter()
    for plane in profile.planes:
        for line in plane.lines:
            for event in line.events:
                if "hlo_op" in dict(event.stats):
                    found[re.sub(r"[.\d]+$", "", event.name)] += event.duration_ns / 1e9
    return found


def _torch(train):
    import torch

    with torch.profiler.profile() as profile:
        train()
    found = Counter()
    for event in profile.key_averages():
        found[event.key.removeprefix("aten::")] += event.self_cpu_time_total / 1e6
    return found


def measure(name, steps):
    """The rows of one network."""
    network = NETWORKS[name]
    sides = make_sides(name, network.sizes, network.batches(steps))
    for side in SIDES[keras.backend.backend()]:
        sides[side]()  # to warm up
        seconds = operations(sides[side])
        milliseconds = {name: 1e3 * time / steps for name, time in seconds.most_common()}
        yield {
            "what": f"step of {name}, {side}",
            "milliseconds": sum(milliseconds.values()),
            "operations": dict(islice(milliseconds.items(), SHOWN)),
        }


def main(names=tuple(NETWORKS), steps=10, folder=None):
    rows = [row for name in names for row in measure(name, steps)]
    write("operations", rows, folder, shown)


def shown(row):
    """A row as one line."""
    parts = ", ".join(f"{name} {time:.3g}" for name, time in row["operations"].items())
    return f"{row['what']}: {row['milliseconds']:.3g} ms: {parts}"
