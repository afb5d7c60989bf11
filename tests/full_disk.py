"""Folders that refuse what is written, by the kernel's own hand."""

import contextlib
import os
import resource
import subprocess
import tempfile
from pathlib import Path

import pytest

NOBODY = 65534


@contextlib.contextmanager
def files_end_at(size):
    """No file of this process grows beyond ``size`` bytes: the write fails, or is cut short."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def writable_folder():
    """A folder that whoever this process becomes can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


@contextlib.contextmanager
def read_only(folder):
    """Nothing can be made in ``folder``, not even by root, who becomes nobody for a while."""
    mode = folder.stat().st_mode
    user = os.geteuid()
    folder.chmod(0o555)
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(0)
        folder.chmod(mode)


@contextlib.contextmanager
def small_disk(folder, kilobytes):
    """A file system of its own in ``folder``, of so many kB; skips the test where none can be."""
    disk = folder / "disk"
    disk.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(disk)]
    try:
        subprocess.run(words, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root can mount a small disk")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
