"""What config.json records of a run."""

import dataclasses
import shlex
import subprocess
from datetime import datetime
from pathlib import Path

from recipes.training import backend


def describe(recipe, config, options):
    """All that may decide the numbers of a run."""
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
        "pictures": {},  # {file: caption}, filled by the recipe
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
