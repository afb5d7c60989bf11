"""Times two sides in turns, so that what else the machine does meets both alike."""

import statistics
import time
from datetime import date
from pathlib import Path

import keras

from recipes.training import backend
from recipes.training.folder import write_json

RESULTS = Path(__file__).parent / "results"


def ratio(ours, theirs, rounds):
    """Seconds of ``ours()`` over seconds of ``theirs()``, round by round.

    Args:
        ours, theirs: functions that do the same work and return when it is done. Each is called
            once to warm up.
        rounds: number of times that both are timed, the first of them changing every round.

    Returns:
        {"median", "lowest", "highest"} of the ratio, and the median seconds of each side.
    """
    sides = {"ours": ours, "theirs": theirs}
    seconds = {name: [] for name in sides}
    for call in sides.values():
        call()
    for number in range(rounds):
        for name in sorted(sides, reverse=number % 2 == 1):
            started = time.perf_counter()
            sides[name]()
            seconds[name].append(time.perf_counter() - started)
    ratios = [a / b for a, b in zip(seconds["ours"], seconds["theirs"], strict=True)]
    return {
        "median": statistics.median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
        "ours_seconds": statistics.median(seconds["ours"]),
        "theirs_seconds": statistics.median(seconds["theirs"]),
    }


def write(name, rows, folder=RESULTS):
    """Prints a benchmark's rows and writes them, with machine and versions, as JSON."""
    for row in rows:
        print(
            f"{row['what']}: {row['median']:.2f} (from {row['lowest']:.2f} to "
            f"{row['highest']:.2f}), {1000 * row['ours_seconds']:.1f} ms against "
            f"{1000 * row['theirs_seconds']:.1f} ms"
        )
    content = {
        "benchmark": name,
        "date": date.today().isoformat(),
        "backend": keras.backend.backend(),
        "device": backend.device(),
        "threads": backend.thread_count(),
        "versions": backend.versions(),
        "rows": rows,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{keras.backend.backend()}.json"
    write_json(path, content)
    print(f"{content['device']}, {content['backend']}; written to {path}")
