"""What a signal means to a process that serves, before it listens for any: the end, at once.

For the moments in which Python imports, and those after everything has ended. Nothing was
started by then, or nothing is left, so there is nothing to put in order: exit code 0, not a word.
It imports nothing that takes time. Commands that do something once keep Python's own ways: of
those an interrupted one has failed.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

SERVING = ("up", "gateway", "shard", "bots", "watch")
"""The commands that run until they are told to end."""


def end_quietly() -> None:
    """Call it first. Whoever listens for signals later takes this over, and gives it back."""
    if sys.argv[1:2] and sys.argv[1] in SERVING:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # As nohup and & would have it.
                signal.signal(number, _end)
        # The supervisor has them wait until here (ops.up.tether, ops.up.fork_server).
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})


def give_up_quietly() -> None:
    """For a command with nothing to put in order: Ctrl-C ends it at once, as one that failed."""
    signal.signal(signal.SIGINT, _give_up)


def end_in_order() -> None:
    """SIGTERM unwinds the main thread, as Ctrl-C does: for a command with workers to end."""
    signal.signal(signal.SIGTERM, _unwind)


def _unwind(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _give_up(_number: int, _frame: FrameType | None) -> None:
    os._exit(128 + signal.SIGINT)


def _end(_number: int, _frame: FrameType | None) -> None:
    # Not SystemExit: raised in the middle of an import it could be caught, or reported.
    os._exit(0)
