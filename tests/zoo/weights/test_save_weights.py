"""``zoo.save_weights``; that it writes what the originals write is in tests/parity."""

import keras
import numpy as np
import pytest

import zoo
from tests.full_disk import files_end_at


def network(seed):
    return zoo.build("resnet20_cifar", seed=seed, depth=1, width=4, input_shape=(8, 8, 3))


def test_another_model_loads_what_was_saved(tmp_path):
    saved, loaded = network(0), network(1)
    zoo.save_weights(saved, str(tmp_path / "mine.safetensors"))
    zoo.load_weights(loaded, tmp_path / "mine.safetensors")
    for one, other in zip(saved.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_full_disk_leaves_the_file_before_and_nothing_else(tmp_path):
    file = tmp_path / "mine.safetensors"
    zoo.save_weights(network(0), file)
    before = file.read_bytes()
    with files_end_at(100):
        with pytest.raises(OSError, match="File too large"):
            zoo.save_weights(network(1), file)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_a_model_of_another_kind_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)], name="mine")
    with pytest.raises(ValueError, match="no checkpoints are known for a model of name 'mine'"):
        zoo.save_weights(model, tmp_path / "mine.safetensors")
    assert list(tmp_path.iterdir()) == []
