"""What can go wrong in a run that is not a bug of this project."""


class InputError(Exception):
    """What the user gave cannot work. One line that names the value and the remedy; exit code 2."""


class NonFiniteValue(Exception):
    """A logged value is NaN or infinite. One line that says which and when; exit code 1."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came, which is taken as Ctrl-C is; exit code 143."""


class CannotWrite(Exception):
    """The disk is full, or the run folder is gone. One line that says which file; exit code 1."""
