"""Decides where a recipe's data comes from."""

from recipes.data.tfds_arrays import NotPrepared
from recipes.training.errors import InputError


def load(module, choice):
    """Reads a data set: (training, test, source).

    Args:
        module: a module of recipes.data with ``embedded``, and ``from_tfds`` if TFDS has it.
        choice: "tfds", "embedded", or "auto": tfds where it is prepared or can be, else embedded.

    Returns:
        The training part (validation not yet cut off), the test part, and
        {"source": "tfds" or "embedded", "description": one sentence about it}.

    Raises:
        InputError: ``choice`` is "tfds" and it cannot be prepared, or what is prepared is damaged.
    """
    has_tfds = hasattr(module, "from_tfds")
    if choice == "tfds" and not has_tfds:
        raise InputError(f"TFDS has no {module.NAME}: leave --data out, or pass --data embedded")
    reason = ""
    if choice != "embedded" and has_tfds:
        try:
            training, test = module.from_tfds()
            return training, test, _source("tfds", f"{module.NAME} from TFDS", training, test)
        except NotPrepared as missing:
            if choice == "tfds":
                raise InputError(
                    f"{missing}: set TFDS_DATA_DIR to a folder where it is or can be prepared, or "
                    f"pass --data embedded"
                ) from None
            reason = f", because {missing}"
    training, test = module.embedded()
    return training, test, _source("embedded", f"{module.EMBEDDED}{reason}", training, test)


def _source(source, description, training, test):
    counts = f"{len(training[0]):,} for training and validation, {len(test[0]):,} for the test"
    return {"source": source, "description": f"{description}: {counts}"}
