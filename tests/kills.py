"""Kills real runs with SIGKILL, resumes them, and compares them with one that nobody disturbed.

    KERAS_BACKEND=jax python -m tests.kills --kills 100

kills at random moments, a run again and again until it is over, and prints how many kills there
were in which phase, and how many of the finished runs are bit for bit the undisturbed one.
The tests kill at chosen moments: a child (``python -m tests.kills MOMENT WORD...``) says when it is
there, and waits for its end.
"""

import argparse
import collections
import json
import math
import os
import random
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
_HERE = "the moment is here"
_OPTIONS = ["--data", "embedded", "--epochs", "3", "--checkpoint-seconds", "0.5"]


def kill(moment, *words):
    """Runs a command of the recipes in a process of its own, and kills it at a moment.

    Args:
        moment: "training:5", at the 5th step of the process; "evaluation:2", at the 2nd result of
            a validation; "tensors:3" and "state:3", while that file of the 3rd checkpoint is half
            written, with the training going on; "report:1"; "finish:1", the report written.
        words: such as "run", "cnn_mnist".
    """
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.kills", moment, *map(str, words)],
        cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    said = []
    for line in child.stdout:
        said.append(line)
        if _HERE in line:
            break
    else:
        raise AssertionError(f"the process ended before {moment}:\n{''.join(said)}")
    if moment.startswith(("tensors", "state")):
        time.sleep(0.5)  # the training goes on meanwhile
    child.kill()
    child.wait()
    child.stdout.close()


class Killed(BaseException):
    """Ends a run as SIGKILL does: nothing more is saved."""


def kill_here(step, folder, runs):
    """Begins a run in this process by the command that another recorded; kills it in a step.

    It is as good for what a recipe forgets, and no process has to start. The last checkpoint is of
    the step before.

    Args:
        step: the step, from 2.
        folder: the folder of the other run.
        runs: where the new one goes; its folder is returned.
    """
    import pytest

    from recipes.__main__ import main
    from recipes.training.run import Run

    words = shlex.split(json.loads((folder / "config.json").read_text("utf-8"))["command"])
    assert words[:3] == ["python", "-m", "recipes"]
    words[words.index("--runs") + 1] = str(runs)
    log, left = Run.log, step

    def logging(self, **values):
        nonlocal left
        left -= not any(value.startswith("validation_") for value in values)
        if left == 1:
            self._saved = -math.inf  # long ago, so that a checkpoint follows this step
        if left == 0:
            raise Killed
        log(self, **values)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Run, "log", logging)
        main(words[3:])
    (killed,) = runs.glob("*/*")
    return killed


def trained(folder):
    """What two runs that are one share: (metrics, last checkpoint, weights of the model)."""
    import keras

    import custom_layers  # noqa: F401, registers the layers

    tensors = max((folder / "checkpoints").glob("*.safetensors")).read_bytes()
    weights = keras.models.load_model(folder / "model.keras").get_weights()
    metrics = (folder / "metrics.jsonl").read_bytes()
    return metrics, tensors, [(each.dtype, each.tobytes()) for each in weights]


def assert_same(folder, undisturbed):
    """That a run which went on has left what one has that nobody disturbed."""
    from tests import event_reader

    assert trained(folder) == trained(undisturbed)
    scalars = [event_reader.scalars(each / "tensorboard") for each in (folder, undisturbed)]
    assert scalars[0] == scalars[1]
    assert "not over" not in (folder / "report.html").read_text("utf-8")
    names = [{path.name for path in each.iterdir()} for each in (folder, undisturbed)]
    assert names[0] == names[1]


def _stop_at(moment):
    from recipes.training import checkpoint, run

    name, number = moment.split(":")
    left = int(number)

    def reached():
        nonlocal left
        left -= 1
        if left == 0:
            print(_HERE, flush=True)
            time.sleep(600)

    log = run.Run.log

    def logging(self, **values):
        validated = any(value.startswith("validation_") for value in values)
        if name == ("evaluation" if validated else "training"):
            reached()
        log(self, **values)

    def slowly(kind, write):
        def writing(path, content, *arguments, **options):
            if (
                name == kind
                and path.name.startswith(checkpoint.UNFINISHED)
                and (path.parent.name == "checkpoints")
            ):
                write(path, content[: len(content) // 2], *arguments, **options)
                reached()
            return write(path, content, *arguments, **options)

        return writing

    def report(folder):
        if name == "report":
            reached()
        path = write_report(folder)
        if name == "finish":
            reached()
        return path

    write_report = run.write_report
    run.write_report = report
    run.Run.log = logging
    Path.write_bytes = slowly("tensors", Path.write_bytes)
    Path.write_text = slowly("state", Path.write_text)


def _kill_at_random(name, kills, seed):
    from recipes.training.saved_run import read_rows

    words = [sys.executable, "-m", "recipes"]
    generator = random.Random(seed)
    phases, finished, same = collections.Counter(), 0, 0
    with tempfile.TemporaryDirectory() as parent:
        parent = Path(parent)

        def command(runs):
            return [*words, "run", name, *_OPTIONS, "--runs", str(runs)]

        started = time.perf_counter()
        subprocess.run(command(parent / "calm"), check=True, capture_output=True)
        duration = time.perf_counter() - started
        (calm,) = (parent / "calm" / name).iterdir()
        ends = {row["step"] for row in read_rows(calm / "metrics.jsonl") if "training_loss" in row}
        folder, before = None, None
        while phases.total() < kills:
            if folder is None:
                runs = parent / f"disturbed-{finished}-{phases.total()}"
                process = subprocess.Popen(
                    command(runs), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
                )
            else:
                process = subprocess.Popen(
                    [*words, "resume", str(folder)],
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                )  # fmt: skip
            try:
                _, errors = process.communicate(timeout=generator.uniform(0, 1.1 * duration))
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                if folder is None:
                    folder = next((path.parent for path in runs.glob("*/*/config.json")), None)
                phase = _phase(folder, before, ends)
                phases[phase] += 1
                print(f"kill {phases.total()}: {phase}", flush=True)
            else:
                if process.returncode:
                    raise SystemExit(f"{process.args} failed with {process.returncode}:\n{errors}")
                folder = folder or next(runs.glob("*/*"))
            if folder and "finished" in json.loads((folder / "config.json").read_text("utf-8")):
                finished += 1
                same += trained(folder) == trained(calm)
                print(f"over: {same} of {finished} runs are the undisturbed one", flush=True)
                folder = None
            before = _resumed(folder)
    print(json.dumps({"kills": kills, "phases": phases, "runs": finished, "identical": same}))
    return 0 if same == finished else 1


def _resumed(folder):
    """How often a run has gone on; None where there is no run."""
    if folder is None:
        return None
    return len(json.loads((folder / "config.json").read_text("utf-8")).get("resumed", ()))


def _phase(folder, before, ends):
    from recipes.training.saved_run import read_rows

    if folder is None or (before is not None and _resumed(folder) == before):
        return "start"
    rows = read_rows(folder / "metrics.jsonl")
    checkpoints = folder / "checkpoints"
    tensors, rest = ({path.stem for path in checkpoints.glob(f"*.{end}")}
                     for end in ("safetensors", "json"))  # fmt: skip
    if rows and any(name.startswith("test_") for name in rows[-1]):
        return "report"
    if tensors != rest or any(checkpoints.glob("unfinished-*")):
        return "checkpoint writing"
    if rows and rows[-1]["step"] in ends and "loss" in rows[-1]:
        return "evaluation"
    return "training"


def _main():
    if ":" in sys.argv[1]:
        _stop_at(sys.argv[1])
        from recipes.__main__ import main

        return main(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="cnn_mnist")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    return _kill_at_random(given.recipe, given.kills, given.seed)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(_main())
