"""Memory of training steps, ours against code written by hand, and whether it grows.

Each side is a process of its own, and the native one imports no Keras. On a CPU the figures are
the largest resident memory of the process, framework and all, and what of it came after the
imports; on a GPU that of the device.
"""

import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

LEARNING_RATE = 1e-4
STEPS = {"mlp": 1000, "cnn": 200, "resnet20": 20, "lstm": 50, "gpt": 100, "vit_tiny": 20}
MEBIBYTE = 2**20


def ours(name, sizes, weights, statistics):
    """Our step of one of NETWORKS."""
    import keras

    from benchmarks.networks import NETWORKS
    from recipes.training.gradient_step import gradient_step

    model = NETWORKS[name].build(**sizes)
    for variables, values in (
        (model.trainable_weights, weights),
        (model.non_trainable_weights, statistics),
    ):
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return gradient_step(
        lambda x, y: cross_entropy(y, model(x, training=True)),
        model,
        keras.optimizers.Adam(LEARNING_RATE, epsilon=1e-12),
    )


def native(name, sizes, weights, statistics):
    """The hand-written step in the way that is compiled least: eager, graph, on JAX jitted."""
    module = importlib.import_module(f"benchmarks.native.native_{os.environ['KERAS_BACKEND']}")
    steps = module.make_steps(name, sizes, weights, statistics, LEARNING_RATE, "float32")
    step = next(iter(steps.values()))
    return lambda *batch: step(*module.to_device(*batch))


SIDES = {"ours": ours, "native": native}
# With PyTorch's compiler, which Keras imports, and who makes one of PyTorch's optimizers.
IMPORTS = {
    "ours": ("keras", "benchmarks.networks", "recipes.training.gradient_step"),
    "native": ("torch._dynamo",) if os.environ.get("KERAS_BACKEND") == "torch" else (),
}


def largest_memory():
    """Mebibytes: of the GPU's memory where there is one, else of the process's, so far."""
    backend = os.environ["KERAS_BACKEND"]
    framework = importlib.import_module(backend)
    if backend == "tensorflow" and framework.config.list_physical_devices("GPU"):
        return framework.config.experimental.get_memory_info("GPU:0")["peak"] / MEBIBYTE
    if backend == "jax" and framework.default_backend() != "cpu":
        return framework.local_devices()[0].memory_stats()["peak_bytes_in_use"] / MEBIBYTE
    if backend == "torch" and framework.cuda.is_available():
        return framework.cuda.max_memory_allocated() / MEBIBYTE
    if sys.platform == "linux":
        # Not getrusage: what it gives begins with the memory of the process that started this one.
        status = Path("/proc/self/status").read_text("ascii")
        return int(status.split("VmHWM:")[1].split()[0]) * 1024 / MEBIBYTE
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MEBIBYTE


def train(side, file, steps):
    """Trains on the network and batches of a file.

    Returns:
        Mebibytes: "largest"; of these "growth", what came after the first tenth of the steps, and
        "training", what came after the imports.
    """
    for module in IMPORTS[side]:
        importlib.import_module(module)
    imported = largest_memory()
    with np.load(file) as arrays:
        work = json.loads(str(arrays["work"]))
        weights, statistics = (
            [arrays[f"{part}{index}"] for index in range(work[part])]
            for part in ("weights", "statistics")
        )
        batches = list(zip(arrays["inputs"], arrays["labels"], strict=True))
    step = SIDES[side](work["name"], work["sizes"], weights, statistics)
    for number in range(steps):
        float(step(*batches[number % len(batches)]))
        if number == steps // 10:
            early = largest_memory()
    largest = largest_memory()
    return {"largest": largest, "growth": largest - early, "training": largest - imported}


def in_new_process(side, file, steps):
    """``train`` in a process of its own."""
    import keras

    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", side, file, str(steps)],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "KERAS_BACKEND": keras.backend.backend()},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(finished.stdout.splitlines()[-1])


def write_work(name, file):
    """Writes a network's weights and some batches, for both sides."""
    from keras import ops

    from benchmarks.networks import NETWORKS

    network = NETWORKS[name]
    model = network.build(**network.sizes)
    arrays = {
        f"{part}{index}": ops.convert_to_numpy(variable)
        for part, variables in (
            ("weights", model.trainable_weights),
            ("statistics", model.non_trainable_weights),
        )
        for index, variable in enumerate(variables)
    }
    work = {
        "name": name,
        "sizes": network.sizes,
        "weights": len(model.trainable_weights),
        "statistics": len(model.non_trainable_weights),
    }
    inputs, labels = map(np.stack, zip(*network.batches(4), strict=True))
    np.savez(file, work=json.dumps(work), inputs=inputs, labels=labels, **arrays)


def main(steps=None, rounds=2, folder=None):
    from benchmarks.side_by_side import ratio, write

    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for name, count in (steps or STEPS).items():
            file = str(Path(temporary, f"{name}.npz"))
            write_work(name, file)
            found = {side: [] for side in SIDES}
            for _ in range(rounds):
                for side in SIDES:
                    found[side].append(in_new_process(side, file, count))
            growth = {side: max(each["growth"] for each in found[side]) for side in SIDES}
            for what, part in (("", "largest"), (" after the imports", "training")):
                figures = {side: [each[part] for each in found[side]] for side in SIDES}
                rows.append(
                    ratio(
                        f"memory of {name}{what}, ours / native, MiB",
                        figures["ours"],
                        figures["native"],
                        steps=f"{count:,} steps",
                        our_growth=growth["ours"],
                        native_growth=growth["native"],
                    )
                )
    write("memory", rows, folder)


if __name__ == "__main__":
    print(json.dumps(train(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
