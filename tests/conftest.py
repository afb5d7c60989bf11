"""Ctrl-C reaches the tests, which raise it, also where a script runs them in the background."""

import signal

# A shell starts such a job with SIGINT ignored, and what a process ignores, its children do too.
signal.signal(signal.SIGINT, signal.default_int_handler)
