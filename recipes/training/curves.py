"""How far apart runs of one seed lie: the numbers behind ``python -m recipes curves``.

Two measures, step by step:

    backends   the largest relative difference between the backends
    floor      the same between a run and itself from initial weights that are moved by units in
               the last place (``--ulps``): chaos lets no two ways of rounding come nearer
"""

import itertools
from typing import NamedTuple

import numpy as np

from recipes.training import plots
from recipes.training.errors import InputError
from recipes.training.progress import is_share_right

# Options in which the runs may differ.
FREE = ("backend", "seed", "ulps", "runs", "data", "checkpoint_seconds")
_MARKS = (1, 10, 50, 500)


class Curves(NamedTuple):
    """Runs of one recipe that differ in seed, backend and ulps alone.

    Attributes:
        seeds: the seeds, sorted.
        backends: {seed: {backend: ``SavedRun``}}, from weights as the seed decides them.
        moved: {seed: {backend: ``SavedRun``}}, from moved weights; only of backends above.
    """

    seeds: list
    backends: dict
    moved: dict


def group(runs):
    """Sorts ``SavedRun``s into ``Curves``.

    Raises:
        InputError: they are not of one recipe, one data set and equal options, two are of one
            seed and backend, one has no step, or there is nothing to compare.
    """
    first, *others = runs
    if not first.steps:
        raise InputError(f"{first.folder} has no step yet: wait for its first")
    for run in others:
        _check_alike(first, run)
    for run in runs:
        if run.differences:
            raise InputError(
                f"{run.folder} was killed, and went on where {'; '.join(run.differences)}: name a "
                f"run of one machine and backend"
            )
    seeds = sorted({run.description["options"]["seed"] for run in runs})
    backends = {seed: {} for seed in seeds}
    moved = {seed: {} for seed in seeds}
    for run in sorted(runs, key=lambda run: run.description["options"]["backend"]):
        options = run.description["options"]
        kind = moved if options.get("ulps") else backends
        there = kind[options["seed"]].setdefault(options["backend"], run)
        if there is not run:
            raise InputError(
                f"{there.folder} and {run.folder} are both of {options['backend']} and seed "
                f"{options['seed']}: name one of them"
            )
    for seed in seeds:
        if len(backends[seed]) < 2 or backends[seed].keys() != backends[seeds[0]].keys():
            raise InputError(
                f"seed {seed} has runs on {', '.join(backends[seed]) or 'no backend'}: name its "
                f"runs on two or more, the same for each seed"
            )
        for backend in moved[seed].keys() - backends[seed].keys():
            raise InputError(
                f"{moved[seed][backend].folder} started from moved weights: name the run on "
                f"{backend} that did not, too"
            )
    return Curves(seeds, backends, moved)


def _check_alike(first, run):
    for what, one, other in [
        ("recipe", first.description["recipe"], run.description["recipe"]),
        *(
            (name, value, run.description["options"].get(name))
            for name, value in first.description["options"].items()
            if name not in FREE
        ),
        ("data", *(each.description["data"]["description"] for each in (first, run))),
        (
            "figures of a step",
            *(sorted(each.steps[0]) if each.steps else [] for each in (first, run)),
        ),
    ]:
        if one != other:
            raise InputError(
                f"{first.folder} and {run.folder} are not runs of one kind: {what} is {one} in "
                f"one and {other} in the other"
            )


def differences(runs):
    """The largest relative difference between runs, of all that a step logs: (steps,) values.

    Of the values of one figure: (largest - smallest) / largest magnitude.
    """
    names = [name for name in runs[0].steps[0] if name not in ("epoch", "step")]
    steps = min(len(run.steps) for run in runs)
    values = np.array(
        [[[row[name] for name in names] for row in run.steps[:steps]] for run in runs]
    )
    largest = np.abs(values).max(axis=0)
    apart = np.ptp(values, axis=0)
    return np.divide(apart, largest, out=np.zeros_like(apart), where=largest > 0).max(axis=1)


def measured(curves):
    """What is published of ``Curves``: {"steps": ..., "test": ...}.

    ``steps``: {number of steps: {"backends": [a value a seed], "floor": [...]}}, the largest
    difference within so many. ``test``: {figure: {the same}}, largest less smallest.
    """
    pairs = _pairs(curves)
    series = {kind: [differences(runs) for runs in groups] for kind, groups in pairs.items()}
    steps = min(len(values) for values in itertools.chain(*series.values()))
    marks = [mark for mark in _MARKS if mark < steps] + [steps]
    tests = pairs["backends"][0][0].test
    return {
        "steps": {
            str(mark): {
                kind: [float(values[:mark].max()) for values in found]
                for kind, found in series.items()
            }
            for mark in marks
        },
        "test": {
            name: {
                kind: [float(np.ptp([run.test[name] for run in runs])) for runs in groups]
                for kind, groups in pairs.items()
            }
            for name in tests
            if all(name in run.test for groups in pairs.values() for runs in groups for run in runs)
        },
    }


def picture(curves):
    """Draws ``Curves`` as a matplotlib figure: the first seed's losses, and all differences."""
    labels = {"backends": "between the backends", "floor": "one backend, weights moved by 1 ulp"}
    return plots.one_curve(
        curves.backends[curves.seeds[0]],
        {
            labels[kind]: [differences(runs) for runs in groups]
            for kind, groups in _pairs(curves).items()
            if groups
        },
    )


def _pairs(curves):
    """What is compared: {"backends": [the runs of a seed, ...], "floor": [two runs, ...]}."""
    return {
        "backends": [list(curves.backends[seed].values()) for seed in curves.seeds],
        "floor": [
            [curves.backends[seed][backend], run]
            for seed in curves.seeds
            for backend, run in curves.moved[seed].items()
        ],
    }


def table(found):
    """``measured`` as rows of text: what, and the largest of all seeds of both measures."""

    def largest(cells, shown):
        return [shown(max(cells[kind])) if cells[kind] else "" for kind in ("backends", "floor")]

    rows = [
        [_first(int(steps)), *largest(cells, "{:.1e}".format)]
        for steps, cells in found["steps"].items()
    ]
    for name, cells in found["test"].items():
        shown = _points if is_share_right(name) else "{:.2g}".format
        rows.append([plots.words(name), *largest(cells, shown)])
    return rows


def _first(steps):
    return "first step" if steps == 1 else f"first {steps:,} steps"


def _points(share):
    return f"{100 * share:.2f} points"
