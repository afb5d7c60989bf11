"""The command line: ``python -m recipes list``, ``show NAME``, ``run NAME [options]``, ...

Nothing heavy is imported before a command needs it: ``--backend`` must reach KERAS_BACKEND
before the recipe, and so keras, is imported.
"""

import argparse
import ast
import difflib
import importlib
import importlib.util
import json
import math
import os
import sys
from pathlib import Path

from recipes.training.errors import CannotWrite, InputError, NonFiniteValue, Terminated

BACKENDS = ("tensorflow", "jax", "torch")


def main(arguments=None):
    """Runs one command; returns the exit code.

    0, 1 (a loss is no number, or a file cannot be written), 2 (bad input), 130 (Ctrl-C) or 143
    (SIGTERM).
    """
    try:
        command = _parser().parse_args(arguments)
        command.function(command)
        return 0
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (NonFiniteValue, CannotWrite) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Terminated:
        print("terminated", file=sys.stderr)
        return 143
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def recipes():
    """{name: path} of every recipe: each file of this folder is one."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return {path.stem: path for path in files if not path.stem.startswith("__")}


def default_backend():
    """The backend that Keras itself would take: KERAS_BACKEND, its config file, tensorflow."""
    if chosen := os.environ.get("KERAS_BACKEND"):
        return chosen
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        return json.loads((home / "keras.json").read_text("utf-8")).get("backend", "tensorflow")
    except (OSError, ValueError):
        return "tensorflow"


def backend_of(run):
    """The backend that a run computed on last; None where there is no run."""
    try:
        description = json.loads((Path(run) / "config.json").read_text("utf-8"))
        return [description["options"], *description.get("resumed", ())][-1]["backend"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise InputError(f"{message}. See {self.prog} --help.")


def _parser():
    parser = _Parser(prog="python -m recipes", description="Trains reference models.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    command = commands.add_parser("list", help="list the recipes")
    command.set_defaults(function=_list)

    command = commands.add_parser("show", help="print a recipe: its results, options and loop")
    command.add_argument("name", nargs="?", metavar="NAME")
    command.set_defaults(function=_show)

    command = commands.add_parser("run", help="train; run NAME --help lists a recipe's options")
    command.add_argument("name", nargs="?", metavar="NAME")
    command.add_argument("options", nargs=argparse.REMAINDER, metavar="[options]")
    command.set_defaults(function=_run)

    command = commands.add_parser("resume", help="go on with a run that was killed")
    command.add_argument("--recipe", metavar="NAME", help="refuse a run of another recipe")
    command.add_argument("run", metavar="RUN", help="a run folder")
    command.add_argument("options", nargs=argparse.REMAINDER, metavar="[--backend other]")
    command.set_defaults(function=_resume)

    # No abbreviations: they would take options of the recipe for their own.
    command = commands.add_parser(
        "find-lr", help="find a learning rate by a range test", allow_abbrev=False
    )
    command.add_argument(
        "--option", metavar="OPTION", help="the learning rate, where a recipe has several"
    )
    command.add_argument(
        "--lowest", type=float, default=1e-6, metavar="RATE", help="where the sweep begins"
    )
    command.add_argument(
        "--highest", type=float, default=10.0, metavar="RATE", help="where it ends"
    )
    command.add_argument(
        "--steps", type=int, default=100, help="steps of the sweep; give these before NAME"
    )
    command.add_argument("name", nargs="?", metavar="NAME")
    command.add_argument("options", nargs=argparse.REMAINDER, metavar="[options]")
    command.set_defaults(function=_find_learning_rate)

    command = commands.add_parser("predict", help="what the model of a run says of new files")
    command.add_argument("--backend", help="default: KERAS_BACKEND, then the run's own")
    command.add_argument("run", metavar="RUN", help="a run folder")
    command.add_argument("files", nargs="+", metavar="FILE", help="a picture, or a table")
    command.set_defaults(function=_predict)

    command = commands.add_parser("report", help="write the report of a run again")
    command.add_argument("run", metavar="RUN", help="a run folder")
    command.set_defaults(function=_report)

    command = commands.add_parser("compare", help="put runs side by side in one page")
    command.add_argument("runs", nargs="+", metavar="RUN", help="a run folder")
    command.set_defaults(function=_compare)

    command = commands.add_parser(
        "curves", help="how far apart a seed's runs on several backends lie"
    )
    command.add_argument("runs", nargs="+", metavar="RUN", help="a run folder")
    command.set_defaults(function=_curves)
    return parser


def _list(command):
    width = max(map(len, recipes()))
    for name, path in recipes().items():
        docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
        print(f"{name:{width}}  {docstring.splitlines()[0]}")


def _show(command):
    print(_find(command).read_text("utf-8"), end="")


def _run(command):
    recipe, parsed = _parsed(command)
    if parsed is not None:
        _train(recipe, command.name, *parsed)


def _parsed(command):
    """(the recipe's module, its options or None if help was asked for, and is printed)."""
    _find(command)
    _use_backend(_early_backend(command, default_backend()), command.name)

    from recipes.training.options import parse

    recipe = importlib.import_module(f"recipes.{command.name}")
    return recipe, parse(command.name, recipe.Config, command.options)


def _early_backend(command, default):
    """The backend among a command's options.

    The full parser sees them later, from the recipe that cannot be imported yet.
    """
    early = _Parser(
        prog=f"python -m recipes run {command.name}", add_help=False, allow_abbrev=False
    )
    early.add_argument("--backend", default=default)
    return early.parse_known_args(command.options)[0].backend


def _train(recipe, name, config, options, folder=None):
    from recipes.training.run import Run

    with Run(name, config, options, folder) as run:
        recipe.main(config, run)


def _resume(command):
    from recipes.training.saved_run import read_description

    description = read_description(command.run)
    command.name = description["recipe"]
    if command.recipe not in (None, command.name):
        raise InputError(
            f"{command.run} is a run of {command.name}, and not of {command.recipe}: name that"
        )
    _find(command)
    folder = Path(command.run)
    _use_backend(_early_backend(command, backend_of(folder)), command.name)

    from recipes.training.resume import read_options

    recipe = importlib.import_module(f"recipes.{command.name}")
    parsed = read_options(folder, description, recipe.Config, command.options)
    if parsed is not None:
        _train(recipe, command.name, *parsed, folder)


def _find_learning_rate(command):
    if not 0 < command.lowest < command.highest < math.inf:
        raise InputError(
            f"--lowest {command.lowest:g} and --highest {command.highest:g} are no range of "
            f"learning rates: give two numbers above 0, the lower one first"
        )
    if command.steps < 2:
        raise InputError(f"--steps {command.steps} are too few for a sweep: give 2 or more")
    recipe, parsed = _parsed(command)
    if parsed is None:
        return

    from recipes.training.learning_rate_finder import SAFETY, suggest
    from recipes.training.learning_rate_sweep import ExponentialSweep, sweep
    from recipes.training.report import write_sweep

    schedule = ExponentialSweep(command.lowest, command.highest, command.steps)
    option, rates, losses = sweep(recipe.main, command.name, *parsed, schedule, command.option)
    if any(word.partition("=")[0] == option for word in command.options):
        raise InputError(f"{option} is what is looked for: leave it out")
    try:
        rate = suggest(rates, losses)
    except ValueError as error:
        raise InputError(f"{error}: try another --lowest, or more --steps") from None
    page = write_sweep(command.name, option, rate, rates, losses, command.options)
    print(f"{option} {rate:.2g}  (the loss is lowest at {SAFETY * rate:.2g}; a tenth of that)")
    print(f"sweep: {page}")


def _predict(command):
    from recipes.training.saved_run import read_run

    run = read_run(command.run)
    backend = command.backend or os.environ.get("KERAS_BACKEND") or backend_of(run.folder)
    _use_backend(backend, run.description["recipe"])

    from recipes.training.predict import predict

    said = predict(run, command.files)
    width = max(len(what) for what, _ in said)
    for what, found in said:
        if isinstance(found, float):
            print(f"{what:{width}}  {found:.6g}")
            continue
        (name, probability), *others = found
        rest = ", ".join(f"{other} {share:.1%}" for other, share in others)
        print(f"{what:{width}}  {name}  {probability:.1%}  (then {rest})")


def _report(command):
    from recipes.training.report import write_report

    print(f"report: {write_report(command.run)}")


def _compare(command):
    from recipes.training.report import write_comparison

    print(f"comparison: {write_comparison(command.runs)}")


def _curves(command):
    from recipes.training.report import write_curves

    page, table = write_curves(command.runs)
    table = [["largest difference", "backends", "1 ulp"], *table]
    width = max(len(name) for name, *_ in table)
    for name, *cells in table:
        print(f"{name:{width}}", *(f"{cell:>13}" for cell in cells), sep="  ")
    print(f"curves: {page}")


def _find(command):
    known = recipes()
    if command.name is None:
        raise InputError(f"name a recipe: {', '.join(known)}")
    if command.name not in known:
        near = difflib.get_close_matches(command.name, known) or known
        raise InputError(f"there is no recipe {command.name!r}: did you mean {' or '.join(near)}?")
    return known[command.name]


def _use_backend(backend, recipe):
    """Makes keras, which must not be imported yet, take this backend."""
    if backend not in BACKENDS:
        raise InputError(f"there is no backend {backend!r}: choose {', '.join(BACKENDS)}")
    if importlib.util.find_spec(backend) is None:
        raise InputError(
            f"the backend {backend} is not installed: pip install '.[{backend}]' in the checkout, "
            f"or make recipe NAME={recipe} BACKEND={backend}"
        )
    os.environ["KERAS_BACKEND"] = backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only
    # One operation after the other, each on all cores. Where several run at once, TensorFlow adds
    # up three or more gradients of a tensor in an order that varies, on a CPU too.
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")


if __name__ == "__main__":
    sys.exit(main())
