"""Whether a run can go on, and what differs from before."""

import dataclasses
from pathlib import Path

from recipes.training.errors import InputError
from recipes.training.options import Options, parse


def read_options(folder, description, config_class, words):
    """(Config, Options) of a run that goes on.

    Args:
        folder: the run folder.
        description: the content of its config.json.
        config_class: the recipe's ``Config`` of today.
        words: options of the command line; but for the backend they must say what the run has.

    Returns:
        As ``parse``: None where help was asked for.

    Raises:
        InputError: the run has other options, or the recipe has; says which.
    """
    recipe, recorded = description["recipe"], description["options"]
    fields = [
        {field.name for field in dataclasses.fields(each)} for each in (config_class, Options)
    ]
    for name in sorted(recorded.keys() ^ set.union(*fields)):
        there, lacking = (folder, recipe) if name in recorded else (recipe, folder)
        raise InputError(
            f"the code has changed: {there} has the option {_option(name)}, and {lacking} has "
            f"not: go back to the code of the run (commit {description['git_commit']}), or begin "
            f"a new one"
        )
    values = {**recorded, "runs": Path(recorded["runs"])}
    classes = [_with_defaults(each, values) for each in (config_class, Options)]
    parsed = parse(recipe, classes[0], words, classes[1])
    if parsed is None:
        return None
    config, options = map(dataclasses.asdict, parsed)
    found = {**config, **options}
    for name, value in values.items():
        if found[name] != value and name != "backend":
            raise InputError(
                f"{folder} was begun with {_option(name)} {value}, and not {found[name]}: leave "
                f"the option out, or begin a new run"
            )
    return config_class(**config), Options(**options)


def differences(before, now):
    """What differs between two environments, as ``describe.environment``: a phrase for each."""
    pairs = {
        name: (before[name], now[name]) for name in ("device", "threads", "git_commit", "code")
    }
    for name in before["versions"].keys() & now["versions"].keys():
        pairs[name] = before["versions"][name], now["versions"][name]
    return [
        f"{name.replace('_', ' ')} was {old}, is {new}"
        for name, (old, new) in sorted(pairs.items())
        if old != new
    ]


def _with_defaults(dataclass, values):
    """The same dataclass with other defaults."""
    return dataclasses.make_dataclass(
        dataclass.__name__,
        [
            (field.name, field.type, dataclasses.field(default=values[field.name]))
            for field in dataclasses.fields(dataclass)
        ],
        bases=(dataclass,),
        frozen=True,
        namespace={"__doc__": dataclass.__doc__, "__module__": dataclass.__module__},
    )


def _option(name):
    return f"--{name.replace('_', '-')}"
