"""Lets TensorFlow Datasets download a data set and prepare it in ArrayRecord format.

Only this needs TensorFlow, and it runs in a process of its own: beside JAX or PyTorch, TensorFlow
would take the GPU's memory, and the two have crashed in one process.
"""

import contextlib
import functools
import importlib.util
import io
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

_PROBE_SECONDS = 3  # for the first answer of the host
_STALL_SECONDS = 20  # without a byte, after which a download has failed
_RETRIES = 3
_STOP_SECONDS = 10  # for the child to tidy up after Ctrl-C


class NotPrepared(Exception):
    """TFDS has not prepared this data set, and cannot; or in a format that cannot be read here."""


def prepare(name, builder):
    """Downloads and prepares a data set, once; shows a progress bar in a terminal.

    Files in ``<data_dir>/downloads/<name>/manual``, or left there by an earlier download, are not
    downloaded again.

    Args:
        name: the data set's name.
        builder: its TFDS builder, whose data folder does not exist yet.

    Raises:
        NotPrepared: a package or the network is missing, or TFDS failed; nothing is prepared.
    """
    missing = f"TFDS has no {name} prepared in {builder.data_dir_root}"
    for package, install in (
        ("tensorflow", "tensorflow-cpu, or tensorflow"),
        ("array_record", "array-record"),
    ):
        if importlib.util.find_spec(package) is None:
            raise NotPrepared(
                f"{missing}, and preparing it needs the package {package}, which is not installed "
                f"(pip install {install})"
            )

    where = f"{name} in {builder.data_dir_root}, once"
    if absent := _absent_files(builder):
        url = next(iter(absent))
        host = urlsplit(url).hostname
        if reason := _unreachable(url):
            raise NotPrepared(
                f"{missing}, and {host}, from where it would be downloaded, does not answer "
                f"({reason})"
            )
        megabytes = sum(file.size for file in absent.values()) / 1e6
        print(f"downloading {megabytes:.1f} MB from {host}, to prepare {where}", file=sys.stderr)
    else:
        print(f"preparing {where}, from files that are there", file=sys.stderr)

    try:
        reason = _run_child(name, builder.data_dir_root)
    finally:
        _tidy_behind_child(_download_folder(builder))
    # A failure does not count where a program that knows nothing of our lock was faster.
    if reason and not builder.data_path.exists():
        raise NotPrepared(f"{missing}, and preparing it failed ({reason})")


def _absent_files(builder):
    """{URL: UrlInfo} of what is neither staged by hand nor left from an earlier download."""
    from tensorflow_datasets.core.download.resource import get_dl_fname

    folder = _download_folder(builder)
    downloaded = {path.name for path in folder.rglob("*")}
    return {
        url: file
        for url, file in (builder.url_infos or {}).items()
        if not (folder / "manual" / (file.filename or "")).is_file()
        and get_dl_fname(url, file.checksum) not in downloaded
    }


def _download_folder(builder):
    # In a folder that two data sets share, TFDS takes one's extracted files for the other's.
    return Path(builder.data_dir_root) / "downloads" / builder.name


def _unreachable(url):
    """Why the host of a URL does not answer, or None: any answer will do, even a refusal."""
    import requests  # as TFDS does: the same proxies and certificates count

    reasons = [f"waited {_PROBE_SECONDS} s"]

    def ask():
        try:
            requests.head(url, timeout=2 * _PROBE_SECONDS)
            reasons.append(None)
        except Exception as error:
            reasons.append(type(error).__name__)

    # Looking up a name knows no timeout: a thread that hangs is left behind.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PROBE_SECONDS)
    return reasons[-1]


def _run_child(name, data_dir):
    """Prepares in a process of its own; returns why it failed, or None."""
    environment = {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_ENABLE_ONEDNN_OPTS": "0",  # says so in four lines otherwise
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "recipes.data.tfds_download", name, str(data_dir)],
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C reaches it once, by the lines below
    )
    try:
        reason, _ = process.communicate()
    except BaseException:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        process.kill()
        raise
    if process.returncode == 0:
        return None
    return reason.strip() or f"its process ended with exit code {process.returncode}"


def _child(name, data_dir):
    """What the process does: exits with 0, or prints why it failed."""
    answer, code = sys.stdout, 1
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # TFDS's words on unknown sizes
            _prepare(name, data_dir)
        code = 0
    except KeyboardInterrupt:
        print("interrupted", file=answer)
    except Exception as error:
        print(_explain(error), file=answer)
    answer.flush()
    os._exit(code)  # without waiting for the other files' downloads


def _prepare(name, data_dir):
    import requests
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download import downloader

    logging.getLogger("absl").setLevel(logging.ERROR)
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    # TFDS itself waits for ever, and tries 10 times over 204 s.
    downloader.MAX_RETRIES = _RETRIES
    requests.Session.request = functools.partialmethod(
        requests.Session.request, timeout=(_PROBE_SECONDS, _STALL_SECONDS)
    )

    builder = tfds.builder(name, data_dir=data_dir)
    folder = _download_folder(builder)
    folder.mkdir(parents=True, exist_ok=True)
    with _lock(folder / "lock", name):
        _tidy(folder)  # after a process that was killed
        try:
            # Does nothing if another process has prepared it meanwhile.
            builder.download_and_prepare(
                download_dir=folder,
                download_config=tfds.download.DownloadConfig(try_download_gcs=False),
                file_format="array_record",
            )
        finally:
            _tidy(folder)


def _tidy(folder):
    """Removes extracted files, of no more use, and unfinished downloads; keeps whole ones."""
    for path in (folder / "extracted", *(folder / folder.name).rglob("*.tmp.*")):
        shutil.rmtree(path, ignore_errors=True)


def _tidy_behind_child(folder):
    """Tidies once more: other files' downloads may have gone on until the process ended.

    Not where another process is at work by now: it has tidied as it began.
    """
    import fcntl

    with contextlib.suppress(OSError), open(folder / "lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _tidy(folder)


@contextlib.contextmanager
def _lock(path, name):
    """Lets one process at a time through."""
    import fcntl

    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another process, which prepares {name}", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks
        yield


def _explain(error):
    """An error of TFDS in one phrase, with what to do next where that is not plain."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}"
    kind, phrase = type(error).__name__, " ".join(str(error).split())
    if kind == "NonMatchingChecksumError":
        phrase = phrase.partition(": *")[0]
        return f"{phrase}: replace the file if you put it there, else try again"
    if len(phrase) > 200:
        phrase = f"...{phrase[-200:]}"  # the cause is last
    if kind == "DownloadError" or type(error).__module__ == "requests.exceptions":
        phrase = f"{phrase.rstrip('.')}: try again later"
    return f"{kind}: {phrase}"


if __name__ == "__main__":
    _child(*sys.argv[1:])
