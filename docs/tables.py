"""Writes the tables of README.md and benchmarks/README.md: no figure in them is typed by hand.

    python docs/tables.py                      # from the catalog and from what is published
    python docs/tables.py runs/cnn_mnist/*     # publishes these runs first
    python docs/tables.py --curves runs/curves-*/cnn_mnist/*    # and the curves of these

Models come from the catalog, recipes from docs/results/ (a file for each published run), curves
from docs/curves/ (a file for each recipe), timings from benchmarks/results/. The pictures of
docs/primer.md are those of published studies.
"""

import argparse
import ast
import importlib
import inspect
import json
import re
import shlex
import shutil
import sys
from functools import partial
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
sys.path.insert(0, str(CHECKOUT))

import zoo  # noqa: E402, the checkout's own
from benchmarks.build import parameters  # noqa: E402
from recipes.__main__ import BACKENDS, recipes  # noqa: E402
from recipes.training import curves  # noqa: E402
from recipes.training.errors import InputError  # noqa: E402
from recipes.training.folder import write_json  # noqa: E402
from recipes.training.progress import figure, is_share_right  # noqa: E402
from recipes.training.report import save_picture  # noqa: E402
from recipes.training.saved_run import read_run  # noqa: E402

README = CHECKOUT / "README.md"
RESULTS = CHECKOUT / "docs" / "results"
CURVES = CHECKOUT / "docs" / "curves"
PRIMER = CHECKOUT / "docs" / "primer"
BENCHMARKS = CHECKOUT / "benchmarks" / "results"
SIDES = {"ours": "ours", "theirs": "bare Keras"}
# Recipes that try a statement: what they find has a table of its own.
STUDY = "study_"
TITLES = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}


def publish(folder, results=RESULTS, primer=PRIMER):
    """Keeps a run's figures, and what made them, in place of the same run's before.

    Of a study also its first picture, for docs/primer.md.

    Raises:
        InputError: it is not over, or not of a commit that others have.
    """
    run = read_run(folder)
    kept = _publishable(run)
    if kept["options"].get("ulps"):
        raise InputError(f"{folder} began with moved weights: publish a run without --ulps")
    name = "-".join([kept["recipe"], kept["options"]["backend"], kept["data"]["source"]])
    write_json(results / f"{name}.json", kept)
    if kept["recipe"].startswith(STUDY):
        picture = next(iter(run.description["pictures"]))
        shutil.copy(run.folder / picture, primer / f"{kept['recipe']}.png")


def publish_curves(folders, results=CURVES):
    """Keeps how far apart runs lie, with a picture, in place of the same recipe's before.

    Raises:
        InputError: one is not over, or not of a commit that others have, or they are no runs
            of the same seeds on several backends.
    """
    runs = [read_run(folder) for folder in folders]
    grouped = curves.group(runs)
    first = _publishable(min(runs, key=lambda run: run.description["started"]))
    if any(_publishable(run)["git_commit"] != first["git_commit"] for run in runs):
        raise InputError("the runs are of different commits: run all of one")
    kept = {
        **{name: first[name] for name in first if name not in ("command", "test", "seconds")},
        "options": {
            name: value for name, value in first["options"].items() if name not in curves.FREE
        },
        "seeds": grouped.seeds,
        "backends": list(grouped.backends[grouped.seeds[0]]),
        "moved": sorted({backend for found in grouped.moved.values() for backend in found}),
        **curves.measured(grouped),
    }
    save_picture(curves.picture(grouped), results / f"{kept['recipe']}.png")
    write_json(results / f"{kept['recipe']}.json", kept)


def _publishable(run):
    """What is kept of a run: what made it, its test figures, and how long it took."""
    commit = run.description["git_commit"]
    if not run.test:
        raise InputError(f"{run.folder} is not over: publish a run with test figures")
    if commit is None or commit.endswith("-dirty"):
        raise InputError(f"{run.folder} is of no commit ({commit}): commit first, and run it again")
    if run.differences:
        raise InputError(
            f"{run.folder} was killed, and went on where {'; '.join(run.differences)}: publish a "
            f"run of one machine and backend"
        )
    left_out = ("pictures", "resumed", "finished", "code", "repeatable")
    kept = {name: value for name, value in run.description.items() if name not in left_out}
    # Folders of the machine are of no use to others.
    options, words = dict(kept["options"]), shlex.split(kept["command"])
    for name, option in (("runs", "--runs"), ("data_path", "--data-path")):
        if options.get(name) and option in words:
            options[name] = words[words.index(option) + 1] = Path(options[name]).name
    found = {"test": run.test, "seconds": run.seconds}
    return {**kept, "options": options, "command": shlex.join(words), **found}


def statement_table(results=RESULTS):
    """Every statement that a study tries, what it found on each backend, and how long it took.

    Seconds are those of the backend that took longest.
    """
    found, seconds = {}, {}  # (study, statement): {backend: verdict}, study: the most of a run
    for result in _read(results):
        for statement, each in result.get("verdicts", {}).items():
            cells = found.setdefault((result["recipe"], statement), {})
            cells[result["options"]["backend"]] = each["verdict"]
            seconds[result["recipe"]] = max(result["seconds"], seconds.get(result["recipe"], 0))
    order = {name: place for place, name in enumerate(recipes())}
    rows = sorted(found.items(), key=lambda row: order.get(row[0][0], len(order)))
    return _table(
        ["statement", "study", "seconds", *TITLES.values()],
        [
            [
                statement,
                f"[`{study}`](recipes/{study}.py)",
                f"{seconds[study]:.0f}",
                *_by_backend(cells),
            ]
            for (study, statement), cells in rows
        ],
    )


def model_table():
    """Every file of the catalog with its title, source, and models with their parameters."""
    rows = {}  # path: (title and source, [names and parameters])
    for name in zoo.list_models():
        count = parameters(partial(zoo.build, name))
        module = importlib.import_module(zoo._MODULES[name])
        title, source = inspect.getdoc(module).split("\n\n")[:2]
        path = Path(module.__file__).relative_to(CHECKOUT).as_posix()
        architecture, _, what = title.rstrip(".").partition(": ")
        said = f"[{architecture}]({path}){what and f': {what}'}. {' '.join(source.split())}"
        rows.setdefault(path, (said, []))[1].append(f"`{name}` {count:,}")
    return _table(
        ["architecture", "models, with their trainable parameters"],
        [[said, ", ".join(names)] for said, names in rows.values()],
    )


def recipe_table():
    """Every recipe with its title."""
    return _table(
        ["recipe", "what"],
        [
            [f"[`{name}`](recipes/{path.name})", ast.get_docstring(_parsed(path)).split("\n")[0]]
            for name, path in recipes().items()
            if not name.startswith(STUDY)
        ],
    )


def result_table(results=RESULTS):
    """The published test figures: shares that are right where a recipe has them, else all.

    An accuracy below that of a paper, ``PUBLISHED`` in a recipe's file, says so.
    """
    published, bars = {}, {}  # (recipe, source, figure): {backend: value}, the paper's
    for result in _read(results):
        if result["recipe"].startswith(STUDY):
            continue
        recipe, source = result["recipe"], result["data"]["description"].partition(":")[0]
        shares = [name for name in result["test"] if is_share_right(name)]
        for name in shares or result["test"]:
            value = result["test"][name]
            cells = published.setdefault((recipe, source, name), {})
            cells[result["options"]["backend"]] = figure(name, value)
            bar = _bar(recipe) if name == "test_accuracy" else None
            if bar is not None and value < bar and result["data"]["source"] != "embedded":
                bars[recipe, source, name] = f" (not reached here: {figure(name, bar)})"
    return _table(
        ["recipe", "data", "figure", *TITLES.values()],
        [
            [f"`{recipe}`", source, name.replace("_", " ") + bars.get(row, ""), *_by_backend(cells)]
            for row, cells in published.items()
            for recipe, source, name in [row]
        ],
    )


def curve_table(results=CURVES, only=None, pictures=""):
    """How far apart the backends lie, with the picture, for each recipe that has curves.

    Args:
        results: the folder that they are kept in.
        only: a recipe to leave out the others.
        pictures: the path from the page to the folder.
    """
    parts = []
    for result in _read(results):
        recipe = result["recipe"]
        if only not in (None, recipe):
            continue
        floor = " and ".join(TITLES[backend] for backend in result["moved"])
        source = result["data"]["description"].partition(":")[0]
        backends = ", ".join(
            TITLES[backend] for backend in BACKENDS if backend in result["backends"]
        )
        found = next(iter(result["steps"].values()))
        seeds, moved = (
            f"largest of {len(found[kind])} seed{'s' if len(found[kind]) > 1 else ''}"
            for kind in ("backends", "floor")
        )
        heads = [
            f"`{recipe}`, {source}",
            f"between {backends}, {seeds}",
            f"{floor}, weights moved by one unit in the last place, {moved}",
        ]
        parts.append(
            f"![{recipe}: the loss on each backend, and how far apart they lie]"
            f"({pictures}{recipe}.png)\n\n" + _table(heads, curves.table(result))
        )
    return "\n".join(parts)


def step_table(results=BENCHMARKS):
    """The median ratios of a training step's time on the CPU, a row a network."""
    measured = {}  # network: {(backend, sides): ratio}
    for result in _read(results):
        for row in result["rows"]:
            found = re.fullmatch(r"float32 step of (\w+), (ours.*), seconds", row["what"])
            if found and not result["accelerator"]:
                cells = measured.setdefault(found[1], {})
                cells[result["backend"], found[2]] = f"{row['median']:.2f}"
    columns = [
        (backend, sides)
        for backend in BACKENDS
        for sides in ("ours / Keras fit", "ours / native", "ours, jit_compile / native")
        if (backend, sides) != ("jax", "ours, jit_compile / native")  # which compiles anyway
    ]
    return _table(
        ["step of", *(f"{TITLES[backend]}: {sides}" for backend, sides in columns)],
        [
            [name, *(cells.get(column, "") for column in columns)]
            for name, cells in measured.items()
        ],
    )


def benchmark_table(results=BENCHMARKS):
    """All ratios of the benchmarks, median and spread, a table a device."""
    measured = {}  # device: {what: {backend: ratio}}
    for result in _read(results):
        if result["benchmark"] in ("build", "operations"):
            continue  # have no ratios, or not in all rows
        table = measured.setdefault(result["device"], {})
        for row in result["rows"]:
            spread = f"{row['median']:.2f} ({row['lowest']:.2f} to {row['highest']:.2f})"
            table.setdefault(row["what"], {})[result["backend"]] = spread
    return "\n".join(
        f"{device}:\n\n"
        + _table(
            ["what", *TITLES.values()],
            [[what, *_by_backend(cells)] for what, cells in table.items()],
        )
        for device, table in measured.items()
    )


def operation_table(results=BENCHMARKS):
    """Milliseconds of a training step by operation, on the CPU, a row a network and side."""
    return _table(
        ["backend", "what", "in all", "of it, in milliseconds"],
        [
            [TITLES[result["backend"]], row["what"], f"{row['milliseconds']:.3g}", parts]
            for result in _read(results)
            if result["benchmark"] == "operations" and not result["accelerator"]
            for row in result["rows"]
            for parts in [", ".join(f"{op} {time:.3g}" for op, time in row["operations"].items())]
        ],
    )


def start_table(results=BENCHMARKS):
    """Seconds of each part of a start, on the CPU."""
    measured = {}  # part: {(backend, side): seconds}
    for result in _read(results):
        if result["benchmark"] == "start" and not result["accelerator"]:
            for row in result["rows"]:
                cells = measured.setdefault(row["what"].split(", ")[1], {})
                for side in ("ours", "theirs"):
                    cells[result["backend"], side] = f"{row[side]:.1f}"
    sides = [(backend, side) for backend in BACKENDS for side in ("ours", "theirs")]
    return _table(
        ["seconds", *(f"{TITLES[backend]}: {SIDES[side]}" for backend, side in sides)],
        [[part, *(cells.get(side, "") for side in sides)] for part, cells in measured.items()],
    )


def build_table(results=BENCHMARKS):
    """Seconds of each model's build on the CPU, and over those of keras.applications."""
    sizes, measured = {}, {}  # model: parameters, {(backend, figure): its value}
    for result in _read(results):
        if result["benchmark"] == "build" and not result["accelerator"]:
            for row in result["rows"]:
                sizes[row["model"]] = row["parameters"]
                cells = measured.setdefault(row["model"], {})
                for figure in ("ours", "median"):
                    if figure in row:
                        cells[result["backend"], figure] = f"{row[figure]:.2f}"
    heads = {"ours": "seconds", "median": "ours / keras.applications"}
    columns = [(backend, figure) for figure in heads for backend in BACKENDS]
    return _table(
        [
            "build of",
            "parameters",
            *(f"{TITLES[backend]}: {heads[figure]}" for backend, figure in columns),
        ],
        [
            [f"`{name}`", f"{sizes[name]:,}", *(cells.get(column, "") for column in columns)]
            for name, cells in measured.items()
        ],
    )


def machine(results=(RESULTS, CURVES, BENCHMARKS)):
    """Where and when the figures were measured."""
    found = [result for folder in results for result in _read(folder)]
    devices = sorted({result["device"] for result in found})
    dates = sorted(result.get("date") or result["started"][:10] for result in found)
    span = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    return f"Measured on {' and '.join(devices)}, {span}.\n"


PARTS = {
    README: {
        "models": model_table,
        "recipes": recipe_table,
        "results": result_table,
        "statements": statement_table,
        "curves": partial(curve_table, only="cnn_mnist", pictures="docs/curves/"),
        "steps": step_table,
        "machine": machine,
    },
    CURVES / "README.md": {"curves": curve_table},
    BENCHMARKS.parent / "README.md": {
        "machine": machine,
        "benchmarks": benchmark_table,
        "start": start_table,
        "build": build_table,
        "operations": operation_table,
    },
}


def rewrite(path, text):
    """A file's text with every table made anew between its two comments."""
    for name, make in PARTS[path].items():
        begin, end = f"<!-- {name}: written by make tables -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        if not after:
            raise InputError(f"{path.name} has no lines {begin.strip()} and {end}")
        text = f"{before}{begin}{make()}{end}{after}"
    return text


def _table(heads, rows):
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _by_backend(cells):
    return [cells.get(backend, "") for backend in BACKENDS]


def _read(folder):
    return [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]


def _bar(recipe):
    """A recipe's ``PUBLISHED``, a paper's test accuracy; None where it has none."""
    path = recipes().get(recipe)
    for node in _parsed(path).body if path else []:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PUBLISHED":
            return ast.literal_eval(node.value)
    return None


def _parsed(path):
    return ast.parse(path.read_text("utf-8"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", nargs="*")
    parser.add_argument("--curves", nargs="*")
    given = parser.parse_args()
    try:
        for run_folder in given.runs:
            publish(run_folder)
        if given.curves:
            publish_curves(given.curves)
        for file in PARTS:
            file.write_text(rewrite(file, file.read_text("utf-8")), encoding="utf-8")
    except InputError as error:
        sys.exit(f"error: {error}")
