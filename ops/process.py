"""A process of ours: from its signals to its end.

SIGINT and SIGTERM ask a gateway or bots process to stop; what has not stopped after
SHUTDOWN_SECONDS_MAX is cancelled. So does SIGINT with a shard; SIGTERM asks it to hand over what it
has, for which it has ``drain_seconds``; it says so when that was not enough. A run file is there
while a process serves. Work that has an end of its own is cut short by them: it tidies up, and has
failed.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import structlog
import trio

from common.errors import Trouble
from common.limits import SHUTDOWN_SECONDS_MAX
from common.settings import Settings
from ops.up.run_folder import Running, listed

log = structlog.get_logger("tessera.process")


@attrs.frozen
class Place:
    """Which of its role a process is, and where it says so (None: nowhere)."""

    number: int
    run_folder: Path | None


@attrs.frozen
class Listening:
    """Where a process has its private port; 0: a free one."""

    host: str
    port: int


async def serve_gateway(
    settings: Settings, place: Place, *, host: str, port: int, private: Listening, name: str
) -> None:
    from gateway.main import run

    _collect_seldom()
    start = partial(
        run,
        settings,
        host=host,
        port=port,
        metrics_host=private.host,
        metrics_port=private.port,
        name=name,
    )
    async with until_told() as stop:
        with ExitStack() as listing:
            # It may wait for PostgreSQL; until it has started there is nothing to put in order.
            async with trio.open_nursery() as serving, _cancelled_by(stop):
                ports: tuple[int, int] = await serving.start(partial(start, stop=stop))
                running = Running("gateway", place.number, os.getpid(), *ports)
                listing.enter_context(listed(place.run_folder, running))


async def serve_shard(settings: Settings, place: Place, *, private: Listening, name: str) -> None:
    from shard.main import run

    _collect_seldom()
    start = partial(run, settings, metrics_host=private.host, metrics_port=private.port, name=name)
    async with until_told_how(settings.drain_seconds) as (stop, drain):
        with ExitStack() as listing:
            async with trio.open_nursery() as serving:
                port: int = await serving.start(partial(start, stop=stop, drain=drain))
                # A shard listens nowhere else: its work comes through Redis.
                running = Running("shard", place.number, os.getpid(), port, port, name)
                listing.enter_context(listed(place.run_folder, running))


async def serve_bots(url: str, count: int, keys: Path) -> None:
    from ops.bots import run_bots

    async with until_told() as stop:
        await run_bots(url, count, keys, stop)


async def cut_short_by_signals(work: Callable[[], Awaitable[None]]) -> None:
    """Do ``work``. A signal cancels it; once it has tidied up, SystemExit says which it was.

    More signals change nothing, so the tidying has to have deadlines of its own.
    """
    told: list[int] = []

    async def listen() -> None:
        async for number in signals:
            told.append(number)
            doing.cancel()

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        try:
            async with trio.open_nursery() as nursery:
                with trio.CancelScope() as doing:
                    nursery.start_soon(listen)
                    await work()
                nursery.cancel_scope.cancel()
        except* (Trouble, OSError):  # asyncpg leaves a bare one when it is cancelled.
            if not told:
                raise
    if told:
        raise SystemExit(128 + told[0])


def _collect_seldom() -> None:
    """Let the cycle collector look less often than after each 700 new objects.

    The world is made of many small values without cycles, and so is what is said about it: looking
    for them cost a quarter of ``advance`` (measured with 1,000 chunks of 20 walkers), a twentieth
    of a gateway's commands, and a tenth of a second at a time.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@asynccontextmanager
async def until_told() -> AsyncIterator[trio.Event]:
    """Set the event at a signal; cancel the block when it goes on for too long after that."""
    stop = trio.Event()
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as block:
                nursery.start_soon(_listen, signals, stop, block)
                yield stop
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def until_told_how(
    drain_seconds: float,
) -> AsyncIterator[tuple[trio.Event, trio.Event]]:
    """Set the first event at SIGINT, the second at SIGTERM; each has its time, then all is cut off.

    A second signal does not wait for what the first has begun: it stops. A drain that is cut off is
    told, for whoever asked for it would take it for done: the process ends with 0 either way.
    """
    stop, drain = trio.Event(), trio.Event()
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as block:

                async def listen() -> None:
                    async for number in signals:
                        is_first = not (stop.is_set() or drain.is_set())
                        if number == signal.SIGTERM and is_first:
                            drain.set()
                            seconds = drain_seconds
                        else:
                            stop.set()
                            seconds = SHUTDOWN_SECONDS_MAX
                        block.deadline = min(block.deadline, trio.current_time() + seconds)

                nursery.start_soon(listen)
                yield stop, drain
            nursery.cancel_scope.cancel()
    if block.cancelled_caught and not stop.is_set():
        log.warning(
            "cut off before all was handed over; nothing is lost, others take over what is left"
            " when its leases have run out",
            drain_seconds=drain_seconds,
        )


@asynccontextmanager
async def _cancelled_by(stop: trio.Event) -> AsyncIterator[None]:
    async def listen() -> None:
        await stop.wait()
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        yield
        nursery.cancel_scope.cancel()


async def _listen(signals: AsyncIterator[int], stop: trio.Event, block: trio.CancelScope) -> None:
    async for _ in signals:
        stop.set()
        block.deadline = min(block.deadline, trio.current_time() + SHUTDOWN_SECONDS_MAX)
