"""``gateway.ports.Bus`` on a MemoryRedis: each call is one step, as a Lua script is."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Literal

import trio

from common import topics
from common.adapters.beside import beside
from common.adapters.memory_redis import Bound, Bucket, MemoryRedis, Subscriber
from common.bus import (
    Binding,
    Delta,
    GatewayBeat,
    Inbound,
    Offer,
    Take,
    Verdict,
    WorldCounts,
    busiest_of,
    without_gap,
)
from common.envelopes import CommandOffered, Replaced, SessionEnded, SessionLine, ToShard
from common.errors import Unavailable
from common.grid import AgentId, ChunkId, GatewayId, SessionId, Slot, Tick
from common.limits import (
    DRAIN_TOLD_MS,
    EXPIRED_ANSWERS_MAX,
    INVALID_ANSWERS_MAX,
    OFFER_FORGOTTEN_MS,
    SLOT_STREAM_MAX,
)
from common.topology import Survey

_ANSWERS_MAX = {"invalid": INVALID_ANSWERS_MAX, "expired": EXPIRED_ANSWERS_MAX}
_EPSILON = 1e-6  # Trio's clock counts in fractions: who waited as told must find a whole token.


class MemoryGatewayBus:
    def __init__(self, redis: MemoryRedis) -> None:
        self._redis = redis
        self._subscriber: Subscriber | None = None

    async def offer(self, offers: Sequence[Offer]) -> Sequence[Verdict]:
        await self._redis.turn("offer")
        return [self._decide(offer) for offer in offers]

    def _decide(self, offer: Offer) -> Verdict:
        slot, message = offer.slot, offer.message
        bound = self._bound(offer)
        if bound is not None and bound.connection != offer.connection:
            return Verdict(stale=True)
        if bound is not None and self._was_made(bound, message):
            return Verdict()
        if slot is not None and len(self._redis.stream(slot).entries) >= SLOT_STREAM_MAX:
            return Verdict(full=True)
        buckets = [self._bucket(take) for take in offer.takes]
        for bucket in buckets:
            bucket.tokens -= 1
        waits = [
            math.ceil(-bucket.tokens * 1_000 / take.per_second)
            for take, bucket in zip(offer.takes, buckets, strict=True)
            if bucket.tokens < -_EPSILON
        ]
        if waits:
            for bucket in buckets:
                bucket.tokens += 1
            return Verdict(max(waits))
        if slot is not None and message is not None:
            self._redis.append(slot, message)
            if bound is not None and isinstance(message, CommandOffered):
                bound.offers[message.id] = message.expires_at_ms
        return Verdict()

    def _bound(self, offer: Offer) -> Bound | None:
        if not isinstance(offer.message, CommandOffered) or offer.connection is None:
            return None
        return self._redis.bindings.get(offer.message.session)

    def _was_made(self, bound: Bound, message: ToShard | None) -> bool:
        """Whether this offer, or a later one of its id, is under way, or was refused."""
        return isinstance(message, CommandOffered) and message.expires_at_ms <= abs(
            bound.offers.get(message.id, 0)
        )

    def _bucket(self, take: Take) -> Bucket:
        """The bucket of ``take``, filled up to now."""
        now_ms = self._redis.now_ms()
        full = Bucket(take.burst, now_ms)
        bucket = self._redis.buckets.setdefault((take.kind, take.subject), full)
        fresh = (now_ms - bucket.when_ms) * take.per_second / 1_000
        bucket.tokens = min(take.burst, bucket.tokens + fresh)
        bucket.when_ms = now_ms
        return bucket

    @asynccontextmanager
    async def inbound(
        self, gateway: GatewayId
    ) -> AsyncIterator[trio.MemoryReceiveChannel[Inbound]]:
        assert self._subscriber is None, "a gateway has one inbound"
        await self._redis.turn("subscribe")
        subscriber = Subscriber(gateway)
        self._subscriber = subscriber
        self._redis.subscribers.append(subscriber)
        try:
            async with beside(partial(self._redis.keep, subscriber)):
                yield subscriber.receive
        finally:
            self._redis.subscribers.remove(subscriber)
            self._subscriber = None
            subscriber.send.close()
            subscriber.receive.close()

    async def watch(self, chunk: ChunkId) -> None:
        if self._subscriber is None:  # A feed may still begin while the gateway ends.
            raise Unavailable("watch: nobody listens any more")
        await self._redis.turn("watch")
        if self._subscriber.is_lost:
            raise Unavailable("watch: the subscription is lost, and not yet back")
        self._subscriber.watched.add(chunk)

    async def unwatch(self, chunk: ChunkId) -> None:
        if self._subscriber is not None:
            self._subscriber.watched.discard(chunk)
        await trio.lowlevel.checkpoint()

    async def deltas_after(self, chunk: ChunkId, tick: Tick) -> Sequence[Delta] | None:
        await self._redis.turn("deltas_after")
        stream = self._redis.deltas.get(chunk)
        kept = () if stream is None or stream.until_ms <= self._redis.now_ms() else stream.deltas
        fence = self._redis.fences.get(chunk)
        last = Tick(0) if fence is None else fence.tick
        return without_gap([delta for delta in kept if delta.tick > tick], tick, last)

    async def bind(self, session: SessionId, gateway: GatewayId) -> Binding:
        await self._redis.turn("bind")
        old = self._redis.bindings.get(session)
        connection = max(int(self._redis.now_ms()), old.connection + 1 if old is not None else 0)
        known = old.offers.items() if old is not None else ()
        since_ms = self._redis.now_ms() - OFFER_FORGOTTEN_MS
        offers = {id: ms for id, ms in known if abs(ms) >= since_ms}
        self._redis.bindings[session] = Bound(gateway, connection, offers)
        self._stay(session, self._redis.durations.presence_ms)
        if old is not None and old.gateway is not None:
            self._redis.send(old.gateway, Replaced(session, old.connection))
        return Binding(connection, {id: ms for id, ms in offers.items() if ms > 0})

    async def release(self, session: SessionId, connection: int) -> None:
        await self._redis.turn("release")
        bound = self._redis.bindings.get(session)
        if bound is not None and bound.connection == connection:
            bound.gateway = None
            self._stay(session, self._redis.durations.resume_ms)

    async def refresh(
        self, gateway: GatewayId, connections: Sequence[tuple[SessionId, int]]
    ) -> Sequence[SessionId]:
        await self._redis.turn("refresh")
        for session, _ in connections:
            self._stay(session, self._redis.durations.presence_ms)
        return [session for session, number in connections if self._mend(session, gateway, number)]

    def _mend(self, session: SessionId, gateway: GatewayId, connection: int) -> bool:
        """Whether the binding was lost, and is made anew."""
        known = self._redis.bindings.get(session)
        if known is not None and known.connection > connection:
            self._redis.send(gateway, Replaced(session, connection))
        if known is not None and known.connection >= connection:
            return False
        offers = known.offers if known is not None else {}
        self._redis.bindings[session] = Bound(gateway, connection, offers)
        if known is not None and known.gateway is not None:
            self._redis.send(known.gateway, Replaced(session, known.connection))
        return True

    async def is_present(self, session: SessionId) -> bool:
        await self._redis.turn("is_present")
        return self._redis.presence.get(session, math.inf) > self._redis.now_ms()

    async def end(self, session: SessionId, replaced: bool) -> None:
        await self._redis.turn("end")
        bound = self._redis.bindings.pop(session, None)
        if bound is not None and bound.gateway is not None:
            self._redis.send(bound.gateway, SessionEnded(session, replaced))
        self._stay(session, 0)

    def _stay(self, session: SessionId, milliseconds: int) -> None:
        self._redis.presence[session] = self._redis.now_ms() + milliseconds

    async def lines_after(self, session: SessionId, seq: int) -> Sequence[SessionLine]:
        await self._redis.turn("lines_after")
        kept = self._redis.lines.get(session, [])
        return [line for line in kept if (line.seq or 0) > seq]

    async def strike(self, agent: AgentId, kind: Literal["invalid", "expired"]) -> bool:
        await self._redis.turn("strike")
        now_ms, durations = self._redis.now_ms(), self._redis.durations
        times = self._redis.strikes.setdefault((agent, kind), [])
        times.append(now_ms)
        del times[: -_ANSWERS_MAX[kind]]
        if len(times) < _ANSWERS_MAX[kind] or now_ms - times[0] >= durations.strike_window_ms:
            return False
        times.clear()
        self._redis.cooldowns[agent] = now_ms + durations.cooldown_ms
        return True

    async def forgive(self, agent: AgentId) -> None:
        await self._redis.turn("forgive")
        for kind in _ANSWERS_MAX:
            self._redis.strikes.pop((agent, kind), None)

    async def cooldown_ms(self, agent: AgentId) -> int:
        await self._redis.turn("cooldown_ms")
        until_ms = self._redis.cooldowns.get(agent, 0.0)
        return max(0, math.ceil(until_ms - self._redis.now_ms()))

    async def watching(self, chunks: Iterable[ChunkId]) -> None:
        await self._redis.turn("watching")
        self._redis.watched.update(dict.fromkeys(chunks, self._redis.now_ms()))

    async def beat(self, gateway: GatewayId, beat: GatewayBeat) -> None:
        await self._redis.turn("beat")
        self._redis.gateway_beats[gateway] = (self._redis.now_ms(), beat)

    async def counts(self) -> WorldCounts:
        await self._redis.turn("counts")
        redis, now_ms = self._redis, self._redis.now_ms()
        oldest_ms = now_ms - redis.durations.beat_ms_max
        slots = [beat for at_ms, beat in redis.slot_beats.values() if at_ms > oldest_ms]
        held = [slot for slot, (_, until_ms) in redis.leases.items() if until_ms > now_ms]
        gateways = [beat for at_ms, beat in redis.gateway_beats.values() if at_ms > oldest_ms]
        return WorldCounts(
            active_chunks=sum(beat.chunks for beat in slots),
            agents_online=sum(until_ms > now_ms for until_ms in redis.presence.values()),
            spectators=sum(beat.spectators for beat in gateways),
            slots=frozenset(held),
            busiest=busiest_of(slots),
        )

    async def survey(self) -> Survey:
        await self._redis.turn("survey")
        return self._redis.survey(with_beats=True)

    async def drain(self, slot: Slot) -> bool:
        await self._redis.turn("drain")
        holder = self._redis.holder(slot)
        if holder is not None:
            process = topics.process_of(holder)
            self._redis.drains[process] = self._redis.now_ms() + DRAIN_TOLD_MS
            self._redis.stir()
        return holder is not None

    async def news(self, after: str, wait_ms: int) -> str:
        return await self._redis.news(after, wait_ms)

    async def announce(self) -> None:
        await self._redis.turn("announce")
        self._redis.stir()

    async def ping(self) -> None:
        await self._redis.turn("ping")
