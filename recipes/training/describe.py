"""What config.json records of a run."""

import dataclasses
import hashlib
import shlex
import subprocess
from datetime import datetime
from pathlib import Path

from recipes.training import backend

_CHECKOUT = Path(__file__).parents[2]


def describe(recipe, config, options):
    """All that may decide the numbers of a run."""
    chosen = {**dataclasses.asdict(config), **dataclasses.asdict(options)}
    chosen["runs"] = str(options.runs)
    words = ["python", "-m", "recipes", "run", recipe]
    for name, value in chosen.items():
        name = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
        else:
            words += [f"--{name}", str(value)]
    return {
        "recipe": recipe,
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": shlex.join(words),
        "options": chosen,
        **environment(options.deterministic),
        "pictures": {},  # {file: caption}, filled by the recipe
    }


def environment(deterministic):
    """What else decides the numbers of a run to the last bit, and ``repeatable``: whether it does.

    On a CPU operations repeat to the bit, on a GPU only deterministic ones.
    """
    return {
        "device": backend.device(),
        "threads": backend.thread_count(),
        "versions": backend.versions(),
        "git_commit": git_commit(_CHECKOUT),
        "code": code_checksum(_CHECKOUT),
        "repeatable": deterministic or backend.accelerator() is None,
    }


def code_checksum(checkout):
    """The first digits of the SHA-256 of all our Python files: changes without a commit show."""
    digest = hashlib.sha256()
    for package in ("custom_layers", "zoo", "recipes"):
        for path in sorted((checkout / package).rglob("*.py")):
            digest.update(path.relative_to(checkout).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


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
