"""The catalog of reference architectures: ``build("lenet5")``, ``list_models("*lenet*")``.

Importing this package imports no keras; building a model imports the model's own file only.
"""

import difflib
import fnmatch
import importlib

_MODULES = {
    "lenet5": "zoo.convolutional.lenet",
    "mnist_cnn": "zoo.convolutional.mnist_cnn",
}


def list_models(pattern="*"):
    """Names that ``build`` knows, sorted; ``pattern`` is a shell pattern such as ``resnet*``."""
    return sorted(fnmatch.filter(_MODULES, pattern))


def build(name, seed=None, **arguments):
    """Builds the model called ``name``: a ``keras.Model`` with fresh weights.

    Args:
        name: one of ``list_models()``.
        seed: integer, 0 or more, that decides the initial weights and the dropout masks, bit for
            bit the same on every backend. None draws them as Keras does.
        arguments: the builder's own, such as ``num_classes`` and ``input_shape``; without them
            the model has the paper's size.

    Raises:
        ValueError: there is no such model, the seed is none, or the model cannot have these
            arguments.
    """
    if name not in list(_MODULES):  # a list takes any value, also one without a hash
        near = difflib.get_close_matches(str(name), _MODULES, cutoff=0.4)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "see list_models()."
        raise ValueError(f"there is no model {name!r}: {hint}")
    builder = getattr(importlib.import_module(_MODULES[name]), name)
    if seed is None:
        return builder(**arguments)
    from zoo.initial_weights import seeded

    return seeded(builder, seed, **arguments)
