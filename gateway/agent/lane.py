"""Errands of one kind, one after another: what follows from one comes before what waits.

It knows no errand and never waits: what can't be done at once is under way, and the lane goes on
when that is over. A lane is closed until ``open``, and again after ``close``. What breaks in it is
told to its owner, for it may run in the middle of anybody's task.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

import attrs
import trio

from gateway.agent.actions import Action

Decide = Callable[[], Iterable[Action]]
"""What is to be done, decided when its turn comes."""

Then = Callable[[Decide], None]


class Errands(Protocol):
    """See ``gateway.agent.errands``."""

    def carry_out(self, action: Action, then: Then) -> Iterable[Action] | None: ...


@attrs.define(eq=False)
class Lane:
    """``rested`` is called, and must not wait, when nothing is left that could be done now.

    ``failed`` is called with a bug, which ends the lane.
    """

    _errands: Errands
    _rested: Callable[[], None]
    _failed: Callable[[Exception], None]
    _todo: deque[Action] = attrs.field(factory=deque, init=False)
    _waiting: deque[Decide] = attrs.field(factory=deque, init=False)
    _next: Decide | None = attrs.field(default=None, init=False)
    """What follows from the errand that is over, before all else."""
    _is_open: bool = attrs.field(default=False, init=False)
    _is_over: bool = attrs.field(default=False, init=False)
    _is_running: bool = attrs.field(default=False, init=False)
    _is_busy: bool = attrs.field(default=False, init=False)
    """An errand is under way."""
    _idle: trio.Event | None = attrs.field(default=None, init=False)

    @property
    def waiting(self) -> int:
        """How much has not had its turn."""
        return len(self._waiting)

    @property
    def is_idle(self) -> bool:
        return not (self._is_busy or self._todo or self._waiting)

    def open(self) -> None:
        self._is_open = not self._is_over
        self._go_on()

    def close(self) -> None:
        """Do nothing more; harmless when it is closed."""
        self._is_open, self._is_over = False, True
        self._todo.clear()
        self._waiting.clear()

    def put(self, decide: Decide) -> None:
        if not self._is_over:
            self._waiting.append(decide)
            self._go_on()

    async def run(self, actions: Iterable[Action]) -> None:
        """Carry out ``actions`` in their turn, and return when that is done."""
        done = trio.Event()

        def tell() -> Iterable[Action]:
            done.set()
            return ()

        self._waiting += (lambda: actions, tell)
        self._go_on()
        await done.wait()

    async def wait_idle(self) -> None:
        while not self.is_idle:
            if self._idle is None:
                self._idle = trio.Event()
            await self._idle.wait()

    def _go_on(self) -> None:
        if self._is_running or self._is_busy or not self._is_open:
            return
        self._is_running = True
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - a bug that one session hits ends that one.
            self.close()
            self._failed(error)
        finally:
            self._is_running = False
        if self._idle is not None and self.is_idle:
            self._idle.set()
            self._idle = None
        if self._is_open:
            self._rested()

    def _work(self) -> None:
        """Do what can be done."""
        todo, waiting, carry_out = self._todo, self._waiting, self._errands.carry_out
        while True:
            if self._next is not None:
                decide, self._next = self._next, None
                todo.extendleft(reversed([*decide()]))
            elif todo:
                self._is_busy = True
                follows = carry_out(todo.popleft(), self._resume)
                if follows is None and self._next is None:
                    return
                self._is_busy = False
                if follows:
                    todo.extendleft(reversed([*follows]))
            elif waiting:
                todo.extend(waiting.popleft()())
            else:
                return

    def _resume(self, decide: Decide) -> None:
        """What was under way is over; ``decide`` says what follows from it."""
        self._is_busy, self._next = False, decide
        self._go_on()
