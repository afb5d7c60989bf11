"""Reports of runs: HTML files that hold everything they show."""

import base64
import io
import shlex
from datetime import datetime
from pathlib import Path

import jinja2
from tqdm import tqdm

from recipes.training import curves, plots
from recipes.training.folder import whole_file
from recipes.training.learning_rate_finder import SAFETY
from recipes.training.progress import figure
from recipes.training.saved_run import read_run


def write_report(folder):
    """Writes the report of a run from its folder, with its curves; returns the report's path.

    A run that goes on, or was ended, has a report too: what there is of it.

    Raises:
        InputError: it is no run folder, or a file in it is damaged.
        CannotWrite: the disk is full, or the folder is gone or read-only.
    """
    run = read_run(folder)
    curves = []
    for quantity, drawn in plots.curves({run.name: run}).items():
        path = run.folder / f"curve_{quantity}.png"
        save_picture(drawn, path)
        curves.append((_caption(quantity), path.read_bytes()))
    pictures = [
        (caption, (run.folder / name).read_bytes())
        for name, caption in run.description.get("pictures", {}).items()
        if (run.folder / name).is_file()
    ]
    return _write_page(
        run.folder / "report.html",
        "report.html.jinja",
        run=run,
        columns=dict.fromkeys(
            name for row in run.epochs for name in row if name not in ("epoch", "step")
        ),
        curves=_embedded(curves),
        pictures=_embedded(pictures),
    )


def write_comparison(folders):
    """Writes a page that puts runs side by side into the current folder; returns its path.

    Raises:
        InputError: one is no run folder, or a file in it is damaged.
        CannotWrite: the disk is full, or the folder is gone or read-only.
    """
    folders = {Path(folder).resolve(): folder for folder in folders}  # each once
    runs = [read_run(folder) for folder in folders.values()]
    labels = _labels(runs)
    return _write_page(
        Path(f"comparison-{datetime.now():%Y%m%d-%H%M%S}.html"),
        "comparison.html.jinja",
        labels=labels,
        sections=_sections(runs),
        curves=_embedded(
            (_caption(quantity), _png(drawn))
            for quantity, drawn in plots.curves(dict(zip(labels, runs, strict=True))).items()
        ),
        commands=[run.description["command"] for run in runs],
    )


def write_curves(folders):
    """Writes a page with the curves of one seed on several backends; returns (path, table).

    Args:
        folders: run folders of one recipe: at least two backends for each seed, and for scale
            runs of ``--ulps 1``.

    Raises:
        InputError: one is no run folder, or they cannot be compared.
        CannotWrite: the disk is full, or the folder is gone or read-only.
    """
    runs = [read_run(folder) for folder in folders]
    grouped = curves.group(runs)
    table = curves.table(curves.measured(grouped))
    path = _write_page(
        Path(f"curves-{datetime.now():%Y%m%d-%H%M%S}.html"),
        "curves.html.jinja",
        recipe=runs[0].description["recipe"],
        seeds=grouped.seeds,
        picture=base64.b64encode(_png(curves.picture(grouped))).decode("ascii"),
        table=table,
        data=runs[0].description["data"]["description"],
        devices=sorted({run.description["device"] for run in runs}),
        commands=[run.description["command"] for run in runs],
    )
    return path, table


def write_sweep(recipe, option, rate, rates, losses, given):
    """Writes a page with a sweep of learning rates into the current folder; returns its path.

    Args:
        recipe: its name.
        option: the option of the recipe whose rate it was.
        rate: the suggestion.
        rates, losses: of each step.
        given: the words of the command line after the recipe's name.

    Raises:
        CannotWrite: the disk is full, or the folder is gone or read-only.
    """
    return _write_page(
        Path(f"learning-rate-{recipe}-{datetime.now():%Y%m%d-%H%M%S}.html"),
        "sweep.html.jinja",
        recipe=recipe,
        option=option,
        rate=f"{rate:.2g}",
        lowest=f"{SAFETY * rate:.2g}",
        steps=len(rates),
        ends=[f"{rates[end]:.2g}" for end in (0, -1)],
        picture=base64.b64encode(_png(plots.range_test(rates, losses, rate))).decode("ascii"),
        command=shlex.join(["python", "-m", "recipes", "run", recipe, *given]),
    )


def save_picture(drawn, path):
    """Saves a matplotlib figure as PNG.

    Raises:
        CannotWrite: the disk is full, or the folder is gone or read-only.
    """
    with whole_file(path) as temporary:
        temporary.write_bytes(_png(drawn))


def _png(drawn):
    memory = io.BytesIO()
    drawn.savefig(memory, format="png", dpi=200, bbox_inches="tight")  # sharp on a telephone
    return memory.getvalue()


def _embedded(pictures):
    return [(caption, base64.b64encode(png).decode("ascii")) for caption, png in pictures]


def _caption(quantity):
    return f"{plots.words(quantity)} over the steps.".capitalize()


def _labels(runs):
    """What tells runs apart, as short as it can be."""
    for label in (lambda run: run.folder.resolve().name, lambda run: run.name):
        labels = [label(run) for run in runs]
        if len(set(labels)) == len(labels):
            return labels
    return [str(run.folder) for run in runs]


def _sections(runs):
    """The table of a comparison: [(title, [(name, a cell a run)])]."""

    def section(title, columns):
        names = dict.fromkeys(name for column in columns for name in column)
        return title, [(name, [column.get(name, "") for column in columns]) for name in names]

    def shown(values):
        return {name: figure(name, value) for name, value in values.items()}

    return [
        section("Test", [shown(run.test) or {"test": "not over"} for run in runs]),
        section("Last epoch", [shown(run.epochs[-1]) if run.epochs else {} for run in runs]),
        section("Cost", [_cost(run) for run in runs]),
        section("Options", [run.description["options"] for run in runs]),
        section("Data, machine and versions", [_environment(run.description) for run in runs]),
    ]


def _commit(description):
    """The first digits of the commit, and whether files were changed."""
    if description["git_commit"] is None:
        return "not a checkout"
    commit, _, dirty = description["git_commit"].partition("-")
    return f"{commit[:12]} and changes" if dirty else commit[:12]


def _cost(run):
    cost = {"steps": len(run.steps)}
    if "model" in run.description:
        cost["parameters"] = f"{run.description['model']['parameters']:,}"
    if run.seconds:
        cost["time"] = tqdm.format_interval(run.seconds)
    if run.steps_per_second:
        cost["steps a second"] = f"{run.steps_per_second:.1f}"
    return cost


def _environment(description):
    return {
        "data": description.get("data", {}).get("description", ""),
        "device": description["device"],
        "threads": description["threads"],
        "git commit": _commit(description),
        **description["versions"],
    }


def _write_page(path, template, **content):
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("recipes", "training"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    html = environment.get_template(template).render(
        figure=figure, words=plots.words, duration=tqdm.format_interval, commit=_commit, **content
    )
    with whole_file(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path
