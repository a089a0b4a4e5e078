"""What a signal does before anybody listens for it."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

SCRIPT = """
import os, sys
sys.argv = ["tessera", {command!r}]
from ops.early import end_quietly
end_quietly()
os.kill(os.getpid(), {number})
"""


def ended_by(number: signal.Signals, command: str) -> subprocess.CompletedProcess[str]:
    script = SCRIPT.format(command=command, number=int(number))
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["up", "gateway"])
def test_a_command_that_serves_ends_at_once_and_well(number: signal.Signals, command: str) -> None:
    answer = ended_by(number, command)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def test_what_has_nothing_to_put_in_order_gives_up_at_once() -> None:
    script = "import os; from ops.early import give_up_quietly as g; g(); os.kill(os.getpid(), 2)"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (answer.returncode, answer.stderr) == (130, "")


def test_a_command_that_is_to_do_something_has_failed() -> None:
    assert ended_by(signal.SIGINT, "migrate").returncode != 0
    assert ended_by(signal.SIGTERM, "migrate").returncode == -signal.SIGTERM
