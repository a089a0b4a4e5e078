"""What lies between a process and the servers: calls that go wrong, and last words that are late.

A call is carried by a task of the network once it may outlive its caller. What the caller hears is
what ``common.errors`` promises: Unavailable only if it was not done, InDoubt if nobody knows.
"""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable
from typing import TypeVar

import attrs
import trio

from common.errors import InDoubt, Trouble, Unavailable
from ops.simulate.ledger import Ledger
from ops.simulate.weather import CallFault, Weather

T = TypeVar("T")


@attrs.define(eq=False)
class Network:
    """Made by a task of no process, so that what it carries goes on when processes don't."""

    weather: Weather
    ledger: Ledger
    _nursery: trio.Nursery
    _context: contextvars.Context = attrs.field(factory=contextvars.copy_context, init=False)

    def after(self, seconds: float, act: Callable[[], object]) -> None:
        """Call ``act`` some time later."""

        async def wait() -> None:
            await trio.sleep(seconds)
            act()

        self.start(wait)

    def start(self, task: Callable[[], Awaitable[object]]) -> None:
        self._context.run(self._nursery.start_soon, task)


@attrs.define(eq=False)
class Cable:
    """One process' way to the servers. Once ``is_cut`` nothing of it gets through any more."""

    _network: Network
    is_cut: bool = False

    async def call(
        self,
        act: Callable[[], Awaitable[T]],
        *,
        may_repeat: bool = False,
        may_outlive: bool = True,
    ) -> T:
        """Return what ``act`` returns, or raise what a caller hears when it went wrong.

        Not ``may_outlive``: it goes over a connection that ends with its process.
        """
        if self.is_cut:
            raise Unavailable("this process is dead")
        fault = self._network.weather.of_call()
        if fault is None:
            return await act()
        self._network.ledger.count(f"call {fault.value}")
        if fault is CallFault.LATE and not may_outlive:
            fault = CallFault.SLOW
        return await self._call_badly(fault, act, may_repeat)

    async def _call_badly(
        self, fault: CallFault, act: Callable[[], Awaitable[T]], may_repeat: bool
    ) -> T:
        weather = self._network.weather
        match fault:
            case CallFault.REFUSED:
                await trio.sleep(weather.slow_seconds())
                raise Unavailable("the network refused")
            case CallFault.LOST:
                await trio.sleep(weather.late_seconds())
                raise InDoubt("the network lost the request")
            case CallFault.UNANSWERED:
                await act()
                await trio.sleep(weather.late_seconds())
                raise InDoubt("the network lost the answer")
            case CallFault.LATE:
                return await self._call_late(act, weather.late_seconds())
            case CallFault.TWICE if may_repeat:
                done = await act()
                # Only what was done: who heard Unavailable may rely on it.
                self._repeat(act, weather.late_seconds())
                return done
            case CallFault.SLOW | CallFault.TWICE:
                await trio.sleep(weather.slow_seconds())
                result = await act()
                await trio.sleep(weather.slow_seconds())
                return result

    async def _call_late(self, act: Callable[[], Awaitable[T]], seconds: float) -> T:
        answer: list[T | Trouble] = []
        answered = trio.Event()

        async def carry() -> None:
            await trio.sleep(seconds)
            try:
                answer.append(await act())
            except Trouble as trouble:
                answer.append(trouble)
            answered.set()

        self._network.start(carry)
        await answered.wait()
        (one,) = answer
        if isinstance(one, Trouble):
            raise type(one)(str(one))
        return one

    def _repeat(self, act: Callable[[], Awaitable[T]], seconds: float) -> None:
        async def again() -> None:
            await trio.sleep(seconds)
            try:
                await act()
            except Trouble:
                return  # Nobody waits for it.

        self._network.start(again)
