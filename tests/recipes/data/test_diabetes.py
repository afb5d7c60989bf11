import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import StandardScaler

from recipes.data import diabetes


def test_all_patients_are_there_once_and_in_order():
    parts = diabetes.embedded()
    assert [inputs.shape for inputs, _ in parts] == [(310, 10), (44, 10), (88, 10)]
    assert [targets.shape for _, targets in parts] == [(310, 1), (44, 1), (88, 1)]
    assert {array.dtype for part in parts for array in part} == {np.dtype("float32")}
    inputs, targets = load_diabetes(return_X_y=True, scaled=False)
    for position, values in enumerate((inputs, targets[:, None])):
        # Of the training part alone: what is known of the others stays out.
        expected = StandardScaler().fit(values[:310]).transform(values)
        found = np.concatenate([part[position] for part in parts])
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_training_part_is_standard_and_the_others_are_only_nearly_so():
    training, validation, test = diabetes.embedded()
    for array in training:
        np.testing.assert_allclose(array.mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(array.std(axis=0), 1, atol=1e-6)
    for array in (*validation, *test):
        assert (np.abs(array.mean(axis=0)) > 1e-3).all()
        assert (np.abs(array.mean(axis=0)) < 0.5).all()
