"""Diabetes: ten measurements of a patient, and how far the disease went in the year after.

Efron, Hastie, Johnstone and Tibshirani 2004, "Least Angle Regression", Annals of Statistics 32:
age, sex, body mass index, blood pressure and six serum measurements of 442 patients. A split is
(inputs float32 (N, 10), targets float32 (N, 1)), each column standardized by its mean and standard
deviation in the training part.
"""

import numpy as np

NAME = "diabetes"
EMBEDDED = "the 442 patients with diabetes that the package scikit-learn ships"
_ENDS = (310, 354)  # 70 % and 80 %


def embedded():
    """(training, validation, test): 310, 44 and 88 patients, in the order of the file."""
    from sklearn.datasets import load_diabetes

    inputs, targets = load_diabetes(return_X_y=True, scaled=False)
    columns = [_standardized(inputs), _standardized(targets[:, None])]
    return tuple(zip(*(np.split(each, _ENDS) for each in columns), strict=True))


def _standardized(values):
    """By the training part, in float64, and float32 then."""
    training = values[: _ENDS[0]]
    return ((values - training.mean(axis=0)) / training.std(axis=0)).astype("float32")
