"""One ``trio.run`` that a seed decides: the order in which tasks run, and the time.

Trio shuffles what is ready to run; here its dice are ours. They also stop processes: tasks of a
stopped one are not run, whatever happens to them, as after SIGSTOP. Time stands still while
anybody can run, and is the next deadline when all wait; who goes round in circles would stop it for
ever, and is found out.
"""

from __future__ import annotations

import contextvars
import math
import random
from collections.abc import Awaitable, Callable, Iterator, MutableSequence
from contextlib import contextmanager
from typing import Any, TypeVar

import trio
from trio._core import _run as trio_run

ROUNDS_MAX = 2_000  # Of the loop in one moment: some forty are usual.

T = TypeVar("T")

_process: contextvars.ContextVar[str] = contextvars.ContextVar("process", default="")


def belong_to(process: str) -> None:
    """Make the current task, and those that it will start, a part of ``process``."""
    _process.set(process)


class LeapingClock(trio.abc.Clock):
    """As trio's ``MockClock`` that jumps, which asks for a round of the loop before each jump."""

    def __init__(self) -> None:
        self._now = 0.0

    def start_clock(self) -> None:
        """Nothing to do: it starts at 0."""

    def current_time(self) -> float:
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Called by trio when nobody can run: whoever has waited until then can, now."""
        if deadline < math.inf:
            self._now = max(self._now, deadline)
            return 0.0
        return math.inf  # Only a signal could wake anybody.


class Scheduler(random.Random):
    """Takes the place of trio's own dice."""

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self._stopped: dict[str, list[trio.lowlevel.Task]] = {}
        self._moment, self._rounds = 0.0, 0
        self.on_standstill: Callable[[], None] = _give_up
        """Called when everybody has run ROUNDS_MAX times, and it is no later for that."""

    def shuffle(self, x: MutableSequence[Any]) -> None:
        """Called by trio with each batch of tasks that it is about to run."""
        self._count_rounds()
        if len(x) > 1:
            super().shuffle(x)
        if self._stopped:
            for task in tuple(x):
                held = self._stopped.get(task.context.get(_process, ""))
                if held is not None:
                    x.remove(task)
                    held.append(task)

    def _count_rounds(self) -> None:
        now = trio.current_time()
        if now != self._moment:
            self._moment, self._rounds = now, 0
        self._rounds += 1
        if self._rounds == ROUNDS_MAX:
            self.on_standstill()

    def is_stopped(self, process: str) -> bool:
        return process in self._stopped

    def stop(self, process: str) -> None:
        self._stopped.setdefault(process, [])

    def go_on_all(self) -> None:
        for process in tuple(self._stopped):
            self.go_on(process)

    def go_on(self, process: str) -> None:
        held = self._stopped.pop(process, [])
        trio_run.GLOBAL_RUN_CONTEXT.runner.runq.extend(held)


def _give_up() -> None:
    raise AssertionError("tasks go round in circles, and time stands still")


def run_seeded(seed: str, main: Callable[[Scheduler], Awaitable[T]]) -> T:
    """Return what ``main`` returns; the same for the same ``seed``, in any process."""
    scheduler = Scheduler(seed)
    with _in_charge(scheduler):
        return trio.run(main, scheduler, clock=LeapingClock())


@contextmanager
def _in_charge(scheduler: Scheduler) -> Iterator[None]:
    # What trio does under Hypothesis: batches are sorted by the age of their tasks, then shuffled.
    dice, is_sorted = trio_run._r, trio_run._ALLOW_DETERMINISTIC_SCHEDULING
    trio_run._r = scheduler
    trio_run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]  # Final; pytest-trio sets it.
    try:
        yield
    finally:
        trio_run._r = dice
        trio_run._ALLOW_DETERMINISTIC_SCHEDULING = is_sorted  # type: ignore[misc]  # Final; pytest-trio sets it.
