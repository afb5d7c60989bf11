"""Times several sides in turns, so that what else the machine does meets all of them alike."""

import re
import shutil
import statistics
import time
from datetime import date
from pathlib import Path

import keras

from recipes.training import backend
from recipes.training.folder import write_json

FIGURES = ("what", "median", "lowest", "highest", "ours", "theirs")
RESULTS = Path(__file__).parent / "results"


def seconds(sides, rounds):
    """Times each side once a round, in an order that changes from round to round.

    Args:
        sides: {name: function that does the work and returns when it is done}. Each is called
            once before, to warm up.
        rounds: number of times that all are timed.

    Returns:
        {name: [seconds of each round]}.
    """
    for call in sides.values():
        call()
    found = {name: [] for name in sides}
    names = list(sides)
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            started = time.perf_counter()
            sides[name]()
            found[name].append(time.perf_counter() - started)
    return found


def ratio(what, ours, theirs, **more):
    """A row of results: figures of one side over those of the other, round by round.

    Args:
        what: the row's name, such as "step of mlp, ours / Keras fit".
        ours, theirs: lists of as many figures, such as ``seconds`` gives.
        more: what else the row says.
    """
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return {
        "what": what,
        "median": statistics.median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
        "ours": statistics.median(ours),
        "theirs": statistics.median(theirs),
        **more,
    }


def can_compile():
    """Whether ``jit_compile`` works: PyTorch's compiler needs g++ on a CPU."""
    return keras.backend.backend() != "torch" or shutil.which("g++") is not None


def shown(row):
    """A row of ``ratio`` as one line."""
    more = "".join(
        f", {key.replace('_', ' ')} {value:.2g}" if isinstance(value, float) else f", {value}"
        for key, value in row.items()
        if key not in FIGURES
    )
    return (
        f"{row['what']}: {row['median']:.2f} (from {row['lowest']:.2f} to "
        f"{row['highest']:.2f}), {row['ours']:.4g} against {row['theirs']:.4g}{more}"
    )


def write(name, rows, folder=None, shown=shown):
    """Prints a benchmark's rows and writes them, with machine and versions, as JSON."""
    for row in rows:
        print(shown(row))
    content = {
        "benchmark": name,
        "date": date.today().isoformat(),
        "backend": keras.backend.backend(),
        "device": backend.device(),
        "accelerator": backend.accelerator() is not None,
        "threads": backend.thread_count(),
        "versions": backend.versions(),
        "rows": rows,
    }
    folder = folder or RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    parts = [
        name,
        content["backend"],
        *re.findall("[a-z0-9]+", (backend.accelerator() or "").lower()),
    ]
    path = folder / f"{'-'.join(parts)}.json"
    write_json(path, content)
    print(f"{content['device']}, {content['backend']}; written to {path}")
