import io
import sys

import pytest

from recipes.training import progress
from recipes.training.progress import Progress, figures


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_bar_with_loss_rate_and_time_left(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(sys, "stdout", Terminal())
    shown = Progress("toy", total_steps=4)
    shown.begin_epoch("epoch 1/2")
    for _ in range(2):
        shown.step()
    shown.show({"loss": 0.125})
    shown.end_training()
    shown.end_epoch({"validation_accuracy": 0.5}, seconds=1.25)
    shown.close()
    bar = sys.stderr.getvalue()
    assert "toy epoch 1/2:  50%" in bar
    assert "2/4" in bar
    assert "loss 0.125" in bar
    assert "step" in bar
    assert "epoch 1/2  validation_accuracy 50.00%  1.2 s\n" in sys.stdout.getvalue()


def test_a_pipe_gets_a_line_at_times_with_rate_and_time_left(monkeypatch, capsys):
    clock = [100.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: clock[0])
    shown = Progress("toy", total_steps=100)
    shown.begin_epoch("epoch 1/2")
    for _ in range(10):
        clock[0] += 2.0  # half a step a second
        shown.step()
        shown.show({"loss": 0.5})
    printed = capsys.readouterr()
    assert "\r" not in printed.out + printed.err
    assert printed.out.splitlines() == [
        "epoch 1/2  step 5/100  loss 0.5  0.5 steps/s  03:10 left",
        "epoch 1/2  step 10/100  loss 0.5  0.5 steps/s  03:00 left",
    ]
    assert shown.end_training() == 20.0
    clock[0] += 1000.0  # the evaluation does not count as training
    shown.begin_epoch("epoch 2/2")
    for _ in range(5):
        clock[0] += 2.0
        shown.step()
    shown.show({"loss": 0.25})
    assert "step 15/100  loss 0.25  0.5 steps/s  02:50 left" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"loss": 0.123456}, "loss 0.1235"),
        ({"test_accuracy": 0.99321}, "test_accuracy 99.32%"),
        ({"validation_exact_match": 1.0}, "validation_exact_match 100.00%"),
        ({"loss": 2e-7, "other": 3}, "loss 2e-07  other 3"),
        ({}, ""),
    ],
)
def test_figures(values, expected):
    assert figures(values) == expected


def test_what_was_done_before_counts_as_done_and_not_for_the_rate(monkeypatch, capsys):
    clock = [100.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: clock[0])
    shown = Progress("toy", total_steps=100, done=80)
    shown.begin_epoch("epoch 4/5")
    assert shown.training_seconds() == 0
    for _ in range(10):
        clock[0] += 2.0
        shown.step()
    assert shown.training_seconds() == 20
    shown.show({"loss": 1.0})
    assert "step 90/100  loss 1  0.5 steps/s  00:20 left" in capsys.readouterr().out
    assert shown.end_training() == 20
    assert shown.training_seconds() == 0
    shown.close()

    monkeypatch.setattr(sys, "stderr", Terminal())
    shown = Progress("toy", total_steps=100, done=80)
    shown.begin_epoch("epoch 4/5")
    shown.step()
    shown.show({"loss": 1.0})
    shown.close()
    assert "81/100" in sys.stderr.getvalue()
