"""TFDS's own download and preparation, from a server in this process that plays the web's proxy.

The data set is a subclass of TFDS's MNIST, as its Fashion-MNIST is, with files made here.
"""

import contextlib
import errno
import fcntl
import gzip
import hashlib
import http.server
import importlib.util
import os
import pty
import signal
import socket
import subprocess
import sys
import termios
import threading
import time

import numpy as np
import pytest
import requests
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import downloader

from recipes.data import tfds_arrays, tfds_download
from recipes.data.tfds_arrays import NotPrepared

NAME = "local_digits"
BUILDER = '''
import itertools
import os
import threading
import time

from tensorflow_datasets.image_classification.mnist import MNIST


def go_on(folder):
    """Downloads into new folders until the process ends."""
    for number in itertools.count():
        os.makedirs(f"{folder}/digits.tmp.{number}")
        time.sleep(0.001)  # else they are so many that removing them takes most of the test


class LocalDigits(MNIST):
    """Few digits, from a host that does not exist."""

    URL = "http://digits.invalid/"

    def _split_generators(self, dl_manager):
        if folder := os.environ.get("DOWNLOADS_GO_ON"):
            threading.Thread(target=go_on, args=(folder,), daemon=True).start()
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "-1"
        if os.environ.get("KILLED"):
            os.kill(os.getpid(), 9)
        train, test = super()._split_generators(dl_manager)
        train.gen_kwargs["num_examples"] = 60
        test.gen_kwargs["num_examples"] = 20
        return [train, test]
'''
# Registers the data set in every process of a test, and hides a package from it.
SITE = """
import os
import sys
from importlib.machinery import PathFinder

import local_digits


class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        hidden = name == os.environ.get("HIDDEN")
        return None if hidden else PathFinder.find_spec(name, path, target)


sys.meta_path = [Finder if finder is PathFinder else finder for finder in sys.meta_path]
"""
READ = f"""
import sys
import numpy as np
from recipes.data import tfds_arrays
try:
    parts = tfds_arrays.read({NAME!r}, ("train", "test"), ("image", "label"))
    assert "tensorflow" not in sys.modules
    np.savez(sys.argv[1], *(array for part in parts for array in part))
except tfds_arrays.NotPrepared as reason:
    sys.exit(str(reason))
except KeyboardInterrupt:
    sys.exit(130)
"""

needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="TFDS prepares with TensorFlow only"
)


def parts():
    """(images, labels) of the training part, then of the test part."""
    generator = np.random.default_rng(0)
    for count in (60, 20):
        images = generator.integers(0, 256, (count, 28, 28, 1), dtype="uint8")
        yield images, np.arange(count, dtype="uint8") % 10


def idx_files():
    """{name: content} of MNIST's four files."""
    files = {}
    for part, (images, labels) in zip(("train", "t10k"), parts(), strict=True):
        files[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(bytes(16) + images.tobytes())
        files[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(bytes(8) + labels.tobytes())
    return files


FILES = idx_files()


@pytest.fixture(scope="module", autouse=True)
def local_digits(tmp_path_factory):
    """Registers the data set, with its checksums, in this process and in those that it starts."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "local_digits.py").write_text(BUILDER)
    (folder / "sitecustomize.py").write_text(SITE)
    (folder / "checksums.tsv").write_text(
        "".join(
            f"http://digits.invalid/{name}\t{len(content)}\t"
            f"{hashlib.sha256(content).hexdigest()}\t{name}\n"
            for name, content in FILES.items()
        )
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        importlib.import_module("local_digits")
        yield


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


class Web(http.server.ThreadingHTTPServer):
    """A proxy, behind which the files are; ``fail`` answers in their place where it is set."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked = []  # (method, file name)
        self.fail = None
        self.closing = threading.Event()


class Answer(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.note()
        self.send_error(405)  # an answer all the same

    def do_GET(self):
        (self.server.fail or Answer.send)(self, FILES[self.note()])

    def note(self):
        name = self.path.rpartition("/")[2]
        self.server.asked.append((self.command, name))
        return name

    def send(self, content, length=None):
        self.send_response(200)
        self.send_header("Content-Length", str(length or len(content)))
        self.end_headers()
        self.wfile.write(content)

    def not_found(self, content):
        self.send_error(404)

    def out_of_order(self, content):
        self.send_error(500)

    def cut_off(self, content):
        self.send(content[: len(content) // 2], length=len(content))

    def another_page(self, content):
        self.send(b"<p>Log in, please.</p>")

    def stall(self, content):
        self.cut_off(content)
        self.server.closing.wait()

    def log_message(self, *_):
        pass


@pytest.fixture
def web(monkeypatch):
    with Web() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def prepare_here(data_dir, monkeypatch):
    """Does in this process what the child does, and returns how the child would explain it."""
    monkeypatch.setattr(requests.Session, "request", requests.Session.request)
    monkeypatch.setattr(downloader, "MAX_RETRIES", downloader.MAX_RETRIES)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")

    def explanation():
        with pytest.raises(Exception) as caught:
            tfds_download._prepare(NAME, str(data_dir))
        return tfds_download._explain(caught.value)

    return explanation


def reason_of_failure():
    with pytest.raises(NotPrepared) as caught:
        tfds_arrays.read(NAME, ("train", "test"), ("image", "label"))
    reason = str(caught.value)
    assert "\n" not in reason
    return reason


def start_reading(path, **options):
    return subprocess.Popen(
        [sys.executable, "-c", READ, path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
        **options,
    )


def assert_read_right(path):
    """The file has every example; TFDS has shuffled them."""
    with np.load(path) as found:
        arrays = list(found.values())
    for (images, labels), (*expected,) in zip((arrays[:2], arrays[2:]), parts(), strict=True):
        order, expected_order = (
            np.lexsort(part.reshape(len(part), -1).T) for part in (images, expected[0])
        )
        np.testing.assert_array_equal(images[order], expected[0][expected_order])
        np.testing.assert_array_equal(labels[order], expected[1][expected_order])


def stage(data_dir, names):
    folder = data_dir / "downloads" / NAME / "manual"
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(FILES[name])
    return folder


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@needs_tensorflow
def test_downloads_what_is_not_staged_and_shows_a_bar(data_dir, web, tmp_path):
    staged, asked = list(FILES)[:2], list(FILES)[2:]
    stage(data_dir, staged)
    terminal, stderr = pty.openpty()
    termios.tcsetwinsize(stderr, (40, 100))
    reading = start_reading(tmp_path / "read.npz", stderr=stderr)
    os.close(stderr)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while more := os.read(terminal, 1000):
            shown += more
    os.close(terminal)
    shown = shown.decode()
    assert reading.wait() == 0, shown
    assert_read_right(tmp_path / "read.npz")
    assert f"from digits.invalid, to prepare {NAME} in {data_dir}, once" in shown
    assert "Dl Completed...: 100%" in shown
    assert "Generating train examples...: " in shown

    assert [method for method, _ in web.asked] == ["HEAD", "GET", "GET"]
    assert {name for _, name in web.asked} == set(asked)
    downloads = data_dir / "downloads" / NAME
    assert len(list((downloads / NAME).glob("*.gz"))) == 2
    assert not (downloads / "extracted").exists()
    # What has been downloaded needs no network again.
    assert not tfds_download._absent_files(tfds.builder(NAME, data_dir=data_dir))


@needs_tensorflow
def test_two_processes_without_a_network_after_one_that_was_killed(data_dir, tmp_path, monkeypatch):
    stage(data_dir, FILES)
    monkeypatch.setenv("KILLED", "1")
    assert "its process ended with exit code -9" in reason_of_failure()
    assert list((data_dir / NAME).glob("incomplete.*"))
    unfinished = data_dir / "downloads" / NAME / NAME / "digits.tmp.0"
    unfinished.mkdir(parents=True)

    monkeypatch.delenv("KILLED")
    paths = tmp_path / "first.npz", tmp_path / "second.npz"
    both = [start_reading(path, stderr=subprocess.PIPE) for path in paths]
    lines = [process.communicate()[1].splitlines() for process in both]
    for process, path in zip(both, paths, strict=True):
        assert process.returncode == 0, lines
        assert_read_right(path)
    start = f"preparing {NAME} in {data_dir}, once, from files that are there"
    wait = f"waiting for another process, which prepares {NAME}"
    assert sorted(lines) == [[start], [start, wait]]
    assert not unfinished.exists()


@needs_tensorflow
def test_a_failure_is_one_line_and_leaves_nothing(data_dir, web, capfd):
    web.fail = Answer.not_found
    reason = reason_of_failure()
    assert f"no {NAME} prepared in {data_dir}" in reason
    assert "HTTP code: 404" in reason
    shown = capfd.readouterr().err
    assert shown.startswith("downloading 0.1 MB from digits.invalid")
    assert shown.count("\n") == 1
    assert files(data_dir) == {f"downloads/{NAME}/lock"}


@needs_tensorflow
def test_other_downloads_go_on_behind_a_failure(data_dir, web, monkeypatch):
    unfinished = data_dir / "downloads" / NAME / NAME
    monkeypatch.setenv("DOWNLOADS_GO_ON", str(unfinished))
    web.fail = Answer.not_found
    assert "HTTP code: 404" in reason_of_failure()
    assert unfinished.is_dir()
    assert not list(unfinished.iterdir())


@pytest.mark.parametrize(
    ("fail", "expected"),
    [
        (Answer.not_found, "HTTP code: 404: try again later"),
        (Answer.out_of_order, "too many 500 error responses')): try again later"),
        (Answer.cut_off, "more expected)): try again later"),
        (Answer.another_page, "has wrong checksum: replace the file if you put it there, else"),
        (Answer.stall, "Read timed out: try again later"),
    ],
)
def test_what_a_host_can_do_wrong(data_dir, web, prepare_here, monkeypatch, fail, expected):
    monkeypatch.setattr(tfds_download, "_STALL_SECONDS", 0.5)
    web.fail = fail
    started = time.perf_counter()
    assert expected in prepare_here()
    assert time.perf_counter() - started < 10  # TFDS by itself tries for 204 s
    # Another file's download may go on in a thread, until the process ends.
    assert all(".tmp." in path.parent.name for path in data_dir.rglob("*.gz"))


def test_a_staged_file_is_verified(data_dir, prepare_here):
    wrong = stage(data_dir, FILES) / "train-labels-idx1-ubyte.gz"
    wrong.write_bytes(b"x")
    explanation = prepare_here()
    assert f"{wrong}, has wrong checksum: replace the file if you put it there" in explanation
    assert wrong.exists()


def test_a_file_system_without_locks(web, prepare_here, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    web.fail = Answer.not_found
    assert "HTTP code: 404" in prepare_here()


def test_a_folder_that_cannot_be_written(prepare_here, data_dir):
    data_dir.write_text("a file")
    assert prepare_here() == f"Not a directory: {data_dir / 'downloads' / NAME}"


@needs_tensorflow
def test_staged_files_need_no_network(data_dir, monkeypatch, capfd):
    """They are prepared, that is; the probe would have failed."""
    stage(data_dir, FILES)
    monkeypatch.setattr(tfds_download, "_run_child", lambda *_: "it was asked to")
    assert reason_of_failure().endswith("preparing it failed (it was asked to)")
    assert "from files that are there" in capfd.readouterr().err


@needs_tensorflow
def test_ctrl_c_ends_the_child_and_leaves_nothing(data_dir, web, tmp_path):
    web.fail = Answer.stall
    reading = start_reading(tmp_path / "read.npz", stderr=subprocess.PIPE, start_new_session=True)
    while len(web.asked) < 1 + len(FILES):
        assert reading.poll() is None
        time.sleep(0.05)
    reading.send_signal(signal.SIGINT)
    shown = reading.communicate(timeout=10)[1]  # at the end of the child too: it holds the pipe
    assert reading.returncode == 130
    assert shown.count("\n") == 1
    assert files(data_dir) == {f"downloads/{NAME}/lock"}


@needs_tensorflow
def test_a_failure_does_not_count_where_another_program_has_prepared_it(data_dir, web, monkeypatch):
    builder = tfds.builder(NAME, data_dir=data_dir)

    def child(*_):
        builder.data_path.mkdir(parents=True)
        return "Directory not empty"

    monkeypatch.setattr(tfds_download, "_run_child", child)
    tfds_download.prepare(NAME, builder)


@pytest.mark.parametrize(
    ("package", "install"),
    [
        ("tensorflow", "tensorflow-cpu, or tensorflow"),
        pytest.param("array_record", "array-record", marks=needs_tensorflow),
    ],
)
def test_a_missing_package_is_named_before_the_network_is_asked(
    data_dir, web, tmp_path, monkeypatch, package, install
):
    monkeypatch.setenv("HIDDEN", package)
    reading = start_reading(tmp_path / "read.npz", stderr=subprocess.PIPE)
    reason = reading.communicate()[1]
    assert reading.returncode == 1
    assert reason.count("\n") == 1
    assert f"needs the package {package}, which is not installed (pip install {install})" in reason
    assert not web.asked
    assert not data_dir.exists()


@needs_tensorflow
def test_no_network(data_dir):
    reason = reason_of_failure()
    assert "digits.invalid, from where it would be downloaded, does not answer (ProxyErr" in reason
    assert not data_dir.exists()


@needs_tensorflow
def test_a_network_that_swallows_everything(data_dir, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.perf_counter()
        assert "does not answer (waited 3 s)" in reason_of_failure()
        assert time.perf_counter() - started < 5


@needs_tensorflow
def test_a_name_server_that_swallows_everything(data_dir, monkeypatch):
    ended = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait())
    monkeypatch.setattr(tfds_download, "_PROBE_SECONDS", 0.2)
    monkeypatch.delenv("http_proxy")
    assert "does not answer (waited 0.2 s)" in reason_of_failure()
    ended.set()
