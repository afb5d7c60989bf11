"""Ctrl-C and SIGTERM, kept waiting while weights move, so that a run ends between two steps."""

import contextlib
import os
import signal
import threading

from recipes.training.errors import Terminated

_ERRORS = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}
_HINT = b"\nstopping after this step; once more stops at once\n"


class Interrupts:
    """Within it, SIGINT raises ``KeyboardInterrupt`` and SIGTERM ``Terminated``.

    While they are held, the first one waits for ``check`` or for the end of ``hold``; the second
    is raised at once. Nothing changes for a signal that is ignored, as in a job in the background
    of a script, and outside the main thread, where Python has no signals.
    """

    def __init__(self):
        self._held = False
        self._received = None
        self._before = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self._before = {
                number: signal.signal(number, self._receive)
                for number in _ERRORS
                if signal.getsignal(number) != signal.SIG_IGN
            }
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def hold(self):
        """Within it a signal waits; it is raised at the end, unless there is an error already."""
        held, self._held = self._held, True
        try:
            yield
        finally:
            self._held = held
        if not held:
            self.check()

    def check(self):
        """Raises what waits."""
        number, self._received = self._received, None
        if number is not None:
            raise _ERRORS[number]

    def _receive(self, number, _):
        if self._held and self._received is None:
            self._received = number
            os.write(2, _HINT)  # print may be interrupted within itself
        else:
            raise _ERRORS[number]
