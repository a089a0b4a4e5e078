"""Feeds: what this gateway knows of the chunks that somebody here watches.

One feed a chunk, however many listen; each delta is the shard's bytes, the same object for all.
It sends nothing to clients and knows none: a listener decides what to do with what it hears.
What follows from a message is decided in ``gateway.stream.follow``; here it is carried out, by
one task a feed, which lives as long as somebody listens and a few seconds more.
"""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import suppress
from typing import Literal, Protocol

import attrs
import structlog
import trio

from common import wire
from common.bus import Delta, Offer, Restored, Verdict
from common.envelopes import ShowAsked, Shown
from common.errors import Trouble
from common.frames import ChunkDelta, ChunkStatic, Position
from common.grid import AgentId, ChunkId, GatewayId
from common.limits import (
    COLLECT_LOOKS,
    COLLECT_SECONDS,
    FEED_LINGER_SECONDS,
    REDIS_SECONDS_MAX,
    SHOW_SECONDS,
    WATCH_LAPSED_LOOKS,
)
from common.replica import as_static
from gateway.metrics import FEED_FILLS, FEEDS
from gateway.ports import Bus
from gateway.stream import follow
from gateway.stream.follow import FeedDelta, Following, Static, Step, TellDelta
from gateway.topology import Routes

__all__ = ["FeedDelta", "Feeds", "Listener", "Static"]

_log = structlog.get_logger()


class Listener(Protocol):
    """Hears a Static first, then every delta after it; a later Static begins anew (a resync)."""

    def hear(self, item: Static | FeedDelta) -> None:
        """Must neither wait nor raise: it is called in the middle of the fan-out."""


class Courier(Protocol):
    """See ``gateway.courier``."""

    async def offer(self, offer: Offer) -> Verdict: ...


@attrs.define(eq=False)
class _Feed:
    chunk: ChunkId
    listeners: dict[Listener, None] = attrs.field(factory=dict)
    """In order of coming; a dict because removing from it is cheap."""
    state: Following = attrs.field(factory=Following)
    static: Static | None = None
    """The encoded replica, as long as it is of the replica's tick."""
    changed: trio.Event = attrs.field(factory=trio.Event)
    """Set when the feed's task has something to look at."""

    def show(self) -> Static | None:
        """Return the static of this moment; encoded once a tick, however many ask."""
        replica = self.state.replica
        if replica is None or self.state.asking:
            return None
        if self.static is None or self.static.tick != replica.tick:
            data = wire.encode(as_static(replica))
            self.static = Static(self.chunk, replica.static.generation, replica.tick, data)
        return self.static

    def take(self, step: Step) -> None:
        before, self.state = self.state, step.state
        for telling in step.tell:
            item = telling.item if isinstance(telling, TellDelta) else self.show()
            assert item is not None, "a static is told only when it is known"
            for listener in tuple(self.listeners):  # Some leave because of what they hear.
                listener.hear(item)
        if (before.asking, before.filling) != (self.state.asking, self.state.filling):
            self.wake()

    def wake(self) -> None:
        self.changed.set()
        self.changed = trio.Event()


@attrs.define(eq=False)
class Feeds:
    """All feeds of this gateway; nothing is heard unless ``run`` is running."""

    _bus: Bus
    _courier: Courier
    _routes: Routes
    _gateway: GatewayId
    _collect_seconds: float = COLLECT_SECONDS
    """What nobody watches for so long is collected by its shard."""
    _feeds: dict[ChunkId, _Feed] = attrs.field(factory=dict, init=False)
    _nursery: trio.Nursery | None = attrs.field(default=None, init=False)

    def __len__(self) -> int:
        return len(self._feeds)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Tend the feeds until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._say_watched)
            task_status.started()
            await trio.sleep_forever()

    def listen(self, chunk: ChunkId, listener: Listener) -> None:
        """Tell ``listener`` of ``chunk`` from now on: a Static at once if it is known already."""
        static = self._join(chunk, listener).show()
        if static is not None:
            listener.hear(static)

    def follow(self, chunk: ChunkId, listener: Listener) -> None:
        """Tell ``listener`` of ``chunk`` from now on; it knows already what the chunk is now."""
        self._join(chunk, listener)

    def _join(self, chunk: ChunkId, listener: Listener) -> _Feed:
        assert self._nursery is not None, "feeds are listened to while they run"
        feed = self._feeds.get(chunk)
        if feed is None:
            feed = self._feeds[chunk] = _Feed(chunk)
            self._nursery.start_soon(self._tend, feed)
            FEEDS.inc()
        if not feed.listeners:
            feed.wake()  # It let things lie while nobody listened.
        feed.listeners[listener] = None
        return feed

    def leave(self, chunk: ChunkId, listener: Listener) -> None:
        """Hear no more of ``chunk``; harmless when it does not listen."""
        feed = self._feeds.get(chunk)
        if feed is not None and listener in feed.listeners:
            del feed.listeners[listener]
            if not feed.listeners:
                feed.wake()

    def show(self, chunk: ChunkId) -> Static | None:
        """Return the static of this very moment, if it is known: deltas heard later follow it."""
        feed = self._feeds.get(chunk)
        return feed.show() if feed is not None else None

    def position(self, agent: AgentId, chunk: ChunkId) -> Position | None:
        """Return where ``agent`` is, if ``chunk`` is followed here just now and has it."""
        feed = self._feeds.get(chunk)
        if feed is None or feed.state.replica is None or feed.state.asking:
            return None
        entity = feed.state.replica.entities.get(agent)
        return Position(entity.x, entity.y) if entity is not None else None

    def hear(self, message: Delta | Shown | Restored) -> None:
        """Take in what the switchboard hands on."""
        match message:
            case Restored():
                for known in tuple(self._feeds.values()):
                    known.take(follow.on_restored(known.state))
            case Delta() | Shown():
                # None: it was let go a moment ago, and its last messages are still coming in.
                if (feed := self._feeds.get(message.chunk)) is not None:
                    self._take(feed, message)

    def _take(self, feed: _Feed, message: Delta | Shown) -> None:
        try:
            if isinstance(message, Delta):
                step = follow.on_delta(feed.state, _read(message))
            else:
                step = follow.on_shown(feed.state, wire.decode(message.static, ChunkStatic))
        except wire.Malformed as error:
            # Passed over, it is a gap like any other: the next delta shows it, and it is mended.
            _log.error("unreadable message from a shard", chunk=feed.chunk, error=str(error))
        else:
            feed.take(step)

    async def _tend(self, feed: _Feed) -> None:
        """Keep ``feed`` going while somebody listens, then let it go."""
        while feed.listeners:  # Twice only if somebody comes while it is being let go.
            await self._serve(feed)
            feed.state, feed.static = Following(), None
            await _is_done(self._bus.unwatch(feed.chunk))
        del self._feeds[feed.chunk]
        FEEDS.dec()

    async def _say_watched(self) -> None:
        """Say again and again what is watched here: such chunks are not collected.

        A feed too young to be in it was shown its chunk a moment ago, which counts as much.
        """
        seconds, said = self._collect_seconds / COLLECT_LOOKS, trio.current_time()
        while True:
            chunks = tuple(self._feeds)
            if not chunks or await _is_done(self._bus.watching(chunks)):
                if trio.current_time() - said >= WATCH_LAPSED_LOOKS * seconds:
                    for feed in tuple(self._feeds.values()):
                        feed.take(follow.on_lapsed(feed.state))
                said = trio.current_time()
            await trio.sleep(seconds)

    async def _serve(self, feed: _Feed) -> None:
        """Do, one thing at a time, what the feed needs, until nobody has listened for a while."""
        watched = False
        while not await _is_deserted(feed):
            if not watched:
                watched = await _is_done(self._bus.watch(feed.chunk)) or await _pause()
            elif feed.state.asking:
                await self._ask(feed)
            elif feed.state.filling:
                await _is_done(self._fill(feed)) or await _pause()
            else:
                await feed.changed.wait()

    async def _ask(self, feed: _Feed) -> None:
        """Ask the shard for the chunk's static, and give it a moment to answer."""
        feed.state = follow.asked(feed.state)
        question = ShowAsked(feed.chunk, self._gateway)
        offer = Offer(slot=self._routes.slot(feed.chunk), message=question)
        await _is_done(self._courier.offer(offer))
        with trio.move_on_after(SHOW_SECONDS):
            while feed.state.asking and feed.listeners:
                await feed.changed.wait()

    async def _fill(self, feed: _Feed) -> None:
        replica, restores = feed.state.replica, feed.state.restores
        assert replica is not None, "only what is known has gaps"
        missed = await self._bus.deltas_after(feed.chunk, replica.tick)
        try:
            items = None if missed is None else [_read(delta) for delta in missed]
        except wire.Malformed as error:
            _log.error("unreadable delta in a stream", chunk=feed.chunk, error=str(error))
            items = None
        FEED_FILLS.labels("lost" if items is None else "mended").inc()
        feed.take(follow.on_filled(feed.state, items, restores))


async def _is_deserted(feed: _Feed) -> bool:
    """Whether nobody has listened for a while: a page that is loaded again finds its feed."""
    with trio.move_on_after(FEED_LINGER_SECONDS):
        while not feed.listeners:
            await feed.changed.wait()
    return not feed.listeners


async def _is_done(act: Awaitable[object]) -> bool:
    """Whether ``act`` went well, in time. If not, the way of all feeds is to try again later."""
    with suppress(Trouble), trio.move_on_after(REDIS_SECONDS_MAX):
        await act
        return True
    return False


async def _pause() -> Literal[False]:
    await trio.sleep(SHOW_SECONDS)
    return False


def _read(delta: Delta) -> FeedDelta:
    return FeedDelta(delta, wire.decode(delta.data, ChunkDelta).events)
