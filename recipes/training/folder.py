"""The folder of one run: made once, each file in it whole or absent."""

import contextlib
import dataclasses
import json
import os
import shlex
import subprocess
from datetime import datetime
from pathlib import Path

from recipes.training import backend
from recipes.training.errors import InputError


def make_folder(runs, recipe, backend_name):
    """Makes ``runs``/``recipe``/<time>-<backend>, a folder that was not there before.

    Raises:
        InputError: it cannot be made.
    """
    parent = runs / recipe
    name = f"{datetime.now():%Y%m%d-%H%M%S}-{backend_name}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        attempt, folder = 1, parent / name
        while True:
            try:
                folder.mkdir()
                return folder
            except FileExistsError:  # another run began in this second
                attempt, folder = attempt + 1, parent / f"{name}-{attempt + 1}"
    except OSError as error:
        raise InputError(
            f"cannot write a run folder in {parent} ({error.strerror}): "
            f"choose another place with --runs"
        ) from None


@contextlib.contextmanager
def whole_file(path):
    """Gives a temporary path beside ``path``, and renames it to ``path`` once it is complete."""
    temporary = path.with_name(f"unfinished-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path, content):
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def describe(recipe, config, options):
    """What config.json records of a run: all that may decide its numbers."""
    chosen = {**dataclasses.asdict(config), **dataclasses.asdict(options)}
    chosen["runs"] = str(options.runs)
    words = ["python", "-m", "recipes", "run", recipe]
    for name, value in chosen.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    return {
        "recipe": recipe,
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": shlex.join(words),
        "options": chosen,
        "device": backend.device(),
        "threads": backend.thread_count(),
        "versions": backend.versions(),
        "git_commit": git_commit(Path(__file__).parents[2]),
    }


def git_commit(checkout):
    """The commit of a checkout, "-dirty" behind it if files were changed; None for no checkout."""
    if not (checkout / ".git").exists():
        return None
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        described = subprocess.run(
            command, cwd=checkout, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None  # no git here, or no commit yet
    return described.stdout.strip()
