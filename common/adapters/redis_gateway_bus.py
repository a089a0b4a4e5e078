"""Redis, for a gateway: ``gateway.ports.Bus`` over streams, pub/sub and Lua.

Each call is one round trip, and ``inbound`` one connection. It decides nothing: limits, strikes
and bindings are decided by the scripts, in one step with what they write.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import chain
from typing import Literal, cast

import trio

from common import topics, wire
from common.adapters.beside import beside
from common.adapters.durations import Durations
from common.adapters.metrics import INBOUND_LOST
from common.adapters.redis import Redis, read_script
from common.adapters.redis_link import Word
from common.adapters.redis_subscription import RedisSubscription
from common.adapters.redis_survey import announce, read_survey, wait_news
from common.bus import (
    Binding,
    Delta,
    GatewayBeat,
    Inbound,
    Offer,
    Restored,
    Verdict,
    WorldCounts,
    busiest_of,
    without_gap,
)
from common.envelopes import CommandOffered, SessionEnded, SessionLine, ToGateway
from common.errors import Unavailable
from common.grid import AgentId, ChunkId, CommandId, GatewayId, SessionId, Slot, Tick
from common.limits import (
    DRAIN_TOLD_MS,
    EXPIRED_ANSWERS_MAX,
    INBOUND_MAX,
    INVALID_ANSWERS_MAX,
    NEWS_KEPT,
    OFFER_FORGOTTEN_MS,
    SLOT_STREAM_MAX,
)
from common.topology import SlotBeat, Survey

_OFFER = read_script("offer")
_DELTAS_AFTER = read_script("deltas_after")
_BIND = read_script("bind")
_RELEASE = read_script("release")
_REFRESH = read_script("refresh")
_IS_PRESENT = read_script("is_present")
_END = read_script("end")
_STRIKE = read_script("strike")
_WATCHING = read_script("watching")
_BEAT = read_script("beat")
_COUNTS = read_script("counts")
_DRAIN = read_script("drain")

_ANSWERS_MAX = {"invalid": INVALID_ANSWERS_MAX, "expired": EXPIRED_ANSWERS_MAX}
_DELTAS_PREFIX = topics.deltas(ChunkId(""))

_to_gateway: Callable[[object], ToGateway] = wire.structurer(cast("type[ToGateway]", ToGateway))

_Entries = list[tuple[bytes, list[bytes]]]


class RedisGatewayBus:
    """``unreadable`` counts messages passed over, ``overflows`` restarts for want of room."""

    def __init__(self, redis: Redis, durations: Durations | None = None) -> None:
        self._redis = redis
        self._durations = durations or Durations()
        self._subscription: RedisSubscription | None = None
        self.unreadable = 0
        self.overflows = 0

    async def offer(self, offers: Sequence[Offer]) -> Sequence[Verdict]:
        places: dict[str, int] = {}
        words: list[Word] = [SLOT_STREAM_MAX]
        for offer in offers:
            _add_offer(offer, places, words)
        verdicts = cast("list[int]", await self._redis.call(_OFFER, list(places), words))
        return [_verdict(each) for each in verdicts]

    @asynccontextmanager
    async def inbound(
        self, gateway: GatewayId
    ) -> AsyncIterator[trio.MemoryReceiveChannel[Inbound]]:
        """Subscribed from the start; Unavailable when that fails. Watched chunks are of this."""
        assert self._subscription is None, "a gateway has one inbound"
        own_channel = topics.gateway(gateway)
        send, receive = trio.open_memory_channel[Inbound](INBOUND_MAX)

        def hear(channel: str, message: bytes) -> None:
            try:
                for inbound in self._read(own_channel, channel, message):
                    send.send_nowait(inbound)
            except trio.WouldBlock:
                self.overflows += 1
                INBOUND_LOST.labels("no_room").inc()
                raise

        async def restored() -> None:
            await send.send(Restored())

        subscription = RedisSubscription(self._redis, own_channel)
        await subscription.open()
        self._subscription = subscription
        try:
            async with beside(partial(subscription.run, hear, restored)):
                yield receive
        finally:
            self._subscription = None
            send.close()
            receive.close()

    def _read(self, own_channel: str, channel: str, message: bytes) -> Iterable[Inbound]:
        if channel == own_channel:
            return self._read_messages(message)
        tick, prev_tick, data = message.split(b" ", 2)
        chunk = ChunkId(channel.removeprefix(_DELTAS_PREFIX))
        return [Delta(chunk, Tick(int(tick)), Tick(int(prev_tick)), data)]

    def _read_messages(self, lines: bytes) -> Iterable[Inbound]:
        for line in lines.split(b"\n"):
            try:
                yield _to_gateway(wire.parse(line))
            except wire.Malformed:
                self.unreadable += 1
                INBOUND_LOST.labels("unreadable").inc()

    async def watch(self, chunk: ChunkId) -> None:
        """Unavailable as well while the subscription is lost, and when it is lost meanwhile."""
        if self._subscription is None:  # A feed may still begin while the gateway ends.
            raise Unavailable("watch: nobody listens any more")
        await self._subscription.add(topics.deltas(chunk))

    async def unwatch(self, chunk: ChunkId) -> None:
        if self._subscription is not None:
            await self._subscription.remove(topics.deltas(chunk))

    async def deltas_after(self, chunk: ChunkId, tick: Tick) -> Sequence[Delta] | None:
        """None also when Redis does not know the last tick, or only one before ``tick``.

        Then it has lost something, and nobody can tell what else. (A Redis that crashed may have
        lost its last second and look whole: then the next delta's prev_tick shows it.)
        """
        keys = [topics.deltas(chunk), topics.fence(chunk)]
        reply = await self._redis.call(_DELTAS_AFTER, keys, [tick])
        last, entries = cast("tuple[bytes, _Entries]", reply)
        deltas = [_read_delta(chunk, id, fields) for id, fields in entries]
        return without_gap(deltas, tick, Tick(int(last)))

    async def bind(self, session: SessionId, gateway: GatewayId) -> Binding:
        keys = [topics.binding(session), topics.PRESENCE]
        words: list[Word] = [
            session,
            gateway,
            self._durations.presence_ms,
            self._durations.remembered_ms,
            topics.GATEWAY_PREFIX,
            topics.OFFER_PREFIX,
            OFFER_FORGOTTEN_MS,
        ]
        reply = await self._redis.call(_BIND, keys, words)
        connection, offers = cast("tuple[int, list[bytes]]", reply)
        under_way = zip(offers[::2], offers[1::2], strict=True)
        return Binding(connection, {CommandId(id.decode()): int(ms) for id, ms in under_way})

    async def release(self, session: SessionId, connection: int) -> None:
        keys = [topics.binding(session), topics.PRESENCE]
        await self._redis.call(_RELEASE, keys, [session, connection, self._durations.resume_ms])

    async def refresh(
        self, gateway: GatewayId, connections: Sequence[tuple[SessionId, int]]
    ) -> Sequence[SessionId]:
        durations = self._durations
        words: list[Word] = [durations.presence_ms, durations.remembered_ms, gateway]
        words += [durations.remembered_ms, topics.GATEWAY_PREFIX]
        for session, connection in connections:
            words += [session, connection]
        keys = [topics.PRESENCE, *(topics.binding(session) for session, _ in connections)]
        lost = cast("list[int]", await self._redis.call(_REFRESH, keys, words))
        return [connections[position - 1][0] for position in lost]

    async def is_present(self, session: SessionId) -> bool:
        return await self._redis.call(_IS_PRESENT, [topics.PRESENCE], [session]) == 1

    async def end(self, session: SessionId, replaced: bool) -> None:
        keys = [topics.binding(session), topics.PRESENCE]
        message = wire.encode(SessionEnded(session, replaced))
        await self._redis.call(_END, keys, [session, message, topics.GATEWAY_PREFIX])

    async def lines_after(self, session: SessionId, seq: int) -> Sequence[SessionLine]:
        reply = await self._redis.command("XRANGE", topics.lines(session), f"({seq}-0", "+")
        return [wire.decode(fields[1], SessionLine) for _, fields in cast("_Entries", reply)]

    async def strike(self, agent: AgentId, kind: Literal["invalid", "expired"]) -> bool:
        keys = [topics.strikes(agent, kind), topics.cooldown(agent)]
        words: list[Word] = [
            self._durations.strike_window_ms,
            _ANSWERS_MAX[kind],
            self._durations.cooldown_ms,
        ]
        return await self._redis.call(_STRIKE, keys, words) == 1

    async def forgive(self, agent: AgentId) -> None:
        keys = [topics.strikes(agent, "invalid"), topics.strikes(agent, "expired")]
        await self._redis.command("DEL", *keys)

    async def cooldown_ms(self, agent: AgentId) -> int:
        return max(0, cast("int", await self._redis.command("PTTL", topics.cooldown(agent))))

    async def watching(self, chunks: Iterable[ChunkId]) -> None:
        words: list[Word] = [self._durations.remembered_ms, *chunks]
        await self._redis.call(_WATCHING, [topics.WATCHED], words)

    async def beat(self, gateway: GatewayId, beat: GatewayBeat) -> None:
        await self._redis.call(_BEAT, [topics.GATEWAYS], [gateway, wire.encode(beat)])

    async def counts(self) -> WorldCounts:
        keys = [topics.GATEWAYS, topics.SLOTS, topics.PRESENCE]
        words: list[Word] = [
            self._durations.beat_ms_max,
            self._durations.remembered_ms,
            topics.LEASE_PREFIX,
        ]
        reply = await self._redis.call(_COUNTS, keys, words)
        gateways, slots, online, held = cast(
            "tuple[list[bytes], list[bytes], int, list[bytes]]", reply
        )
        slot_beats = [wire.decode(beat, SlotBeat) for beat in slots]
        return WorldCounts(
            active_chunks=sum(beat.chunks for beat in slot_beats),
            agents_online=online,
            spectators=sum(wire.decode(beat, GatewayBeat).spectators for beat in gateways),
            slots=frozenset(Slot(int(slot)) for slot in held),
            busiest=busiest_of(slot_beats),
        )

    async def survey(self) -> Survey:
        return await read_survey(self._redis, self._durations, with_beats=True)

    async def drain(self, slot: Slot) -> bool:
        keys = [topics.lease(slot), topics.NEWS]
        words: list[Word] = [topics.DRAIN_PREFIX, DRAIN_TOLD_MS, NEWS_KEPT]
        return await self._redis.call(_DRAIN, keys, words) == 1

    async def news(self, after: str, wait_ms: int) -> str:
        return await wait_news(self._redis, after, wait_ms)

    async def announce(self) -> None:
        await announce(self._redis)

    async def ping(self) -> None:
        await self._redis.command("PING")


def _verdict(reply: int) -> Verdict:
    match reply:
        case -1:
            return Verdict(full=True)
        case -2:
            return Verdict(stale=True)
        case _:
            return Verdict(reply)


def _add_offer(offer: Offer, places: dict[str, int], words: list[Word]) -> None:
    """Append the offer's words; ``places`` are the keys, by their position from 1."""

    def place(key: str) -> int:
        return places.setdefault(key, len(places) + 1)

    message = offer.message
    if message is None or offer.slot is None:
        words += [0, ""]
    else:
        words += [place(topics.commands(offer.slot)), wire.encode(message)]
    if isinstance(message, CommandOffered) and offer.connection is not None:
        words += [place(topics.binding(message.session)), offer.connection]
        words += [topics.offer(message.id), message.expires_at_ms]
    else:
        words += [0, "", "", ""]
    words.append(len(offer.takes))
    words += chain.from_iterable(
        (place(topics.bucket(take.kind, take.subject)), take.per_second, take.burst)
        for take in offer.takes
    )


def _read_delta(chunk: ChunkId, id: bytes, fields: list[bytes]) -> Delta:
    tick, _, _ = id.partition(b"-")
    _, prev_tick, _, data = fields
    return Delta(chunk, Tick(int(tick)), Tick(int(prev_tick)), data)
