"""Wine: 13 measurements of 178 wines, made from three varieties of grapes.

Aeberhard and Forina 1991, UCI Machine Learning Repository. The measurements are in units of their
own: the hue is around 1, and proline, an amino acid, around 750 milligrams per litre. A split is
(measurements float32 (N, 13), varieties int32 (N,)).
"""

import numpy as np

NAME = "wine"
CLASSES = ("first variety", "second variety", "third variety")
EMBEDDED = "the 178 wines that the package scikit-learn ships"
_COUNTS = (106, 36, 36)


def embedded():
    """(training, validation, test): 106, 36 and 36 wines, shuffled, always the same."""
    from sklearn.datasets import load_wine

    measurements, varieties = load_wine(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(varieties))
    parts = np.split(order, np.cumsum(_COUNTS)[:-1])
    return tuple(
        (measurements[part].astype("float32"), varieties[part].astype("int32")) for part in parts
    )
