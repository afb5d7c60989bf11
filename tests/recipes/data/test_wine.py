import numpy as np
from sklearn.datasets import load_wine

from recipes.data import wine


def test_all_wines_are_there_once_with_their_varieties():
    parts = wine.embedded()
    assert [len(labels) for _, labels in parts] == [106, 36, 36]
    found = np.concatenate([np.c_[inputs, labels] for inputs, labels in parts])
    expected = np.c_[load_wine(return_X_y=True)].astype("float32")
    np.testing.assert_array_equal(found[np.lexsort(found.T)], expected[np.lexsort(expected.T)])
    for inputs, labels in parts:
        assert (inputs.dtype, labels.dtype) == ("float32", "int32")
        assert set(labels) == {0, 1, 2}
    assert len(wine.CLASSES) == 3


def test_is_always_the_same():
    for first, second in zip(wine.embedded(), wine.embedded(), strict=True):
        for array, again in zip(first, second, strict=True):
            np.testing.assert_array_equal(array, again)
