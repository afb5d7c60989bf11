"""Signals that wait until a step is over."""

import os
import signal
import threading

import pytest

from recipes.training.errors import Terminated
from recipes.training.interrupts import Interrupts


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]
)
def test_a_signal_is_raised_at_once_or_after_what_holds_it(number, error, capfd):
    done = []
    with Interrupts() as interrupts:
        with pytest.raises(error) as caught:
            send(number)
        assert type(caught.value) is error
        assert capfd.readouterr().err == ""
        with pytest.raises(error):
            with interrupts.hold():
                send(number)
                done.append("the rest of the step")
        assert done == ["the rest of the step"]
        assert "once more stops at once" in capfd.readouterr().err
        with interrupts.hold():
            done.append("no signal waits any more")
        interrupts.check()


def test_check_raises_within_hold():
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            with interrupts.hold():
                interrupts.check()
                send(signal.SIGINT)
                interrupts.check()
                pytest.fail("not reached")


def test_the_second_signal_does_not_wait():
    with Interrupts() as interrupts:
        with pytest.raises(Terminated):
            with interrupts.hold():
                send(signal.SIGINT)
                send(signal.SIGTERM)
                pytest.fail("not reached")


def test_holds_within_each_other_end_with_the_outer_one():
    done = []
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            with interrupts.hold():
                with interrupts.hold():
                    send(signal.SIGINT)
                done.append("the outer one still holds")
        assert done


def test_the_outer_hold_goes_on_after_the_inner_one():
    done = []
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            with interrupts.hold():
                with interrupts.hold():
                    pass
                send(signal.SIGINT)
                done.append("a signal after the inner one waits too")
        assert done


def test_an_error_within_hold_stays_that_error():
    with Interrupts() as interrupts:
        with pytest.raises(ZeroDivisionError):
            with interrupts.hold():
                send(signal.SIGINT)
                1 / 0  # noqa: B018


def test_the_handlers_from_before_come_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(ValueError):
        with Interrupts():
            assert signal.getsignal(signal.SIGTERM) not in before
            raise ValueError
    assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


def test_a_signal_that_is_ignored_stays_ignored():
    """As in a job that a script starts in the background: Ctrl-C is not meant for it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts():
            send(signal.SIGINT)
            with pytest.raises(Terminated):
                send(signal.SIGTERM)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_than_the_main_one_has_no_signals():
    reached = []

    def run():
        with Interrupts() as interrupts, interrupts.hold():
            reached.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert reached
