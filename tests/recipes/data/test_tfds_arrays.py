"""Reading prepared data by TFDS itself, from a folder as TFDS writes it."""

import numpy as np
import pytest

from recipes.data import mnist, tfds_arrays
from recipes.data.tfds_arrays import NotPrepared
from recipes.training.errors import InputError
from tests import prepared_mnist


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    return tmp_path


def test_reads_every_example_in_order(data_dir):
    prepared_mnist.write(data_dir)
    for (images, labels), split in zip(mnist.from_tfds(), ("train", "test"), strict=True):
        expected_images, expected_labels = prepared_mnist.arrays(split)
        np.testing.assert_array_equal(images, expected_images)
        np.testing.assert_array_equal(labels, expected_labels)
        assert images.dtype == "uint8"
        assert labels.dtype == "int32"


def test_a_feature_of_values_that_differ_in_length_is_an_array_of_lists():
    class Source(list):
        def __getitems__(self, positions):
            return [self[position] for position in positions]

    source = Source([{"tags": [1, 2], "word": b"a"}, {"tags": [3], "word": b"bc"}])
    tags, words = tfds_arrays._arrays(source, ("tags", "word"))
    assert tags.dtype == object and list(tags) == [[1, 2], [3]]
    assert words.tolist() == [b"a", b"bc"]
    (same,) = tfds_arrays._arrays(Source([{"tags": [1, 2]}, {"tags": [3, 4]}]), ("tags",))
    np.testing.assert_array_equal(same, [[1, 2], [3, 4]])


def test_more_examples_than_are_read_at_once(data_dir, monkeypatch):
    prepared_mnist.write(data_dir)
    monkeypatch.setattr(tfds_arrays, "_CHUNK", 7)
    (images, _), _ = mnist.from_tfds()
    np.testing.assert_array_equal(images, prepared_mnist.arrays("train")[0])


@pytest.mark.parametrize("leftover", [".", "mnist", "mnist/incomplete.ABC123_3.0.1", "mnist/2.0.0"])
def test_what_a_killed_preparation_or_another_version_leaves_is_not_damaged_data(
    data_dir, leftover
):
    folder = data_dir / leftover
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset_info.json").write_text("{}")
    with pytest.raises(NotPrepared, match=f"TFDS has no mnist prepared in {data_dir}, and "):
        mnist.from_tfds()


def test_the_default_folder_is_that_of_tfds(monkeypatch, tmp_path):
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tfds_arrays.data_dir() == tmp_path / "tensorflow_datasets"


def test_another_format_counts_as_not_prepared(data_dir):
    prepared_mnist.write(data_dir, file_format="tfrecord")
    with pytest.raises(NotPrepared, match="not in the ArrayRecord format"):
        mnist.from_tfds()


def truncate(folder):
    path = prepared_mnist.records(folder, "train")
    path.write_bytes(path.read_bytes()[:-70_000])


def empty(folder):
    prepared_mnist.records(folder, "test").write_bytes(b"")


def remove(folder):
    prepared_mnist.records(folder, "train").unlink()


def flip(folder):
    path = prepared_mnist.records(folder, "train")
    content = bytearray(path.read_bytes())
    content[20_000:20_400] = bytes(byte ^ 0x55 for byte in content[20_000:20_400])
    path.write_bytes(content)


def garble_information(folder):
    (folder / "dataset_info.json").write_text("{")


def remove_all_but_the_folder(folder):
    for path in folder.iterdir():
        path.unlink()


@pytest.mark.parametrize(
    "damage",
    [truncate, empty, remove, flip, garble_information, remove_all_but_the_folder],
    ids=lambda damage: damage.__name__,
)
def test_damaged_data_is_an_error_of_one_line_that_names_folder_and_remedy(data_dir, damage):
    damage(prepared_mnist.write(data_dir))
    with pytest.raises(InputError) as caught:
        mnist.from_tfds()
    message = str(caught.value)
    assert "\n" not in message
    assert f"{data_dir / 'mnist'} is damaged" in message
    assert "--data embedded" in message
