"""``shard.ports.Bus`` on a MemoryRedis: each call is one step, as a Lua script is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import trio

from common.adapters.memory_redis import Bound, DeltaStream, Fence, MemoryRedis
from common.bus import Delta, Outgoing, PublishedDelta, RanOut, Received, Refusal
from common.envelopes import AckLine, SessionLine
from common.grid import ChunkId, Epoch, SessionId, Slot, Tick
from common.limits import (
    DELTAS_KEPT_TICKS,
    OFFER_FORGOTTEN_MS,
    OFFERS_PRUNED,
    SESSION_LINES_MAX,
)
from common.topology import ProcessBeat, SlotBeat, Survey


class MemoryShardBus:
    def __init__(self, redis: MemoryRedis) -> None:
        self._redis = redis

    async def receive(self, slot: Slot, after: str, count: int, wait_ms: int) -> Sequence[Received]:
        await self._redis.turn("receive")
        received = self._after(slot, after, count)
        with trio.move_on_after(wait_ms / 1_000):
            while not received:
                await self._redis.stream(slot).arrived.wait()
                self._redis.check("receive")
                received = self._after(slot, after, count)
        return received

    def _after(self, slot: Slot, after: str, count: int) -> list[Received]:
        entries = self._redis.stream(slot).entries
        later = [entry for entry in entries if entry[0] > int(after)]
        return [Received(str(position), message) for position, message in later[:count]]

    async def done(self, slot: Slot, upto: str) -> None:
        await self._redis.turn("done")
        stream = self._redis.stream(slot)
        stream.entries = [entry for entry in stream.entries if entry[0] > int(upto)]

    async def publish(
        self, slot: Slot, holder: str, outgoing: Outgoing
    ) -> frozenset[ChunkId] | None:
        await self._redis.turn("publish")
        if not self._may_publish(slot, holder):
            return None
        shut_out = set()
        for delta in outgoing.deltas:
            if self._is_shut_out(delta):
                shut_out.add(delta.chunk)
            else:
                self._publish_delta(delta)
        for line in outgoing.lines:
            if self._keep_line(line):
                self._send_line(line)
        for refusal in outgoing.refusals:
            if self._refuse(slot, refusal):
                self._send_line(refusal.line)
        for gateway, reply in outgoing.replies:
            self._redis.send(gateway, reply)
        for forward in outgoing.forwards:
            if forward.source is None or self._redis.remove(slot, forward.source):
                self._redis.append(forward.slot, forward.message)
        return frozenset(shut_out)

    def _may_publish(self, slot: Slot, holder: str) -> bool:
        return self._redis.holder(slot) == holder

    def _refuse(self, slot: Slot, refusal: Refusal) -> bool:
        """Whether to tell it."""
        line, is_there = refusal.line, self._redis.remove(slot, refusal.position)
        assert line.expires_at_ms is not None, "a refusal says which offer it is about"
        bound = self._redis.bindings.get(line.session)
        if not is_there or bound is None or bound.offers.get(line.id) != line.expires_at_ms:
            return False
        if refusal.is_told:
            bound.offers[line.id] = -line.expires_at_ms
            if len(bound.offers) % OFFERS_PRUNED == 0:
                _prune(bound, line.expires_at_ms)
        else:
            del bound.offers[line.id]
        return refusal.is_told

    def _is_shut_out(self, delta: PublishedDelta) -> bool:
        fence = self._redis.fences.get(delta.chunk)
        return fence is not None and delta.epoch < fence.epoch

    def _publish_delta(self, published: PublishedDelta) -> None:
        assert published.tick > 0, "nothing happens before the first tick"
        chunk, tick = published.chunk, published.tick
        fence = self._redis.fences.setdefault(chunk, Fence(published.epoch, Tick(0)))
        fence.epoch = published.epoch
        if tick <= fence.tick:
            return
        fence.tick = tick
        delta = Delta(chunk, tick, published.prev_tick, published.data)
        now_ms, kept_ms = self._redis.now_ms(), self._redis.durations.deltas_kept_ms
        stream = self._redis.deltas.get(chunk)
        if stream is None or stream.until_ms <= now_ms:
            stream = self._redis.deltas[chunk] = DeltaStream()
        while stream.deltas and stream.deltas[0].tick < tick - DELTAS_KEPT_TICKS:
            stream.deltas.popleft()
        stream.deltas.append(delta)
        stream.until_ms = now_ms + kept_ms
        self._redis.announce(delta)

    def _keep_line(self, line: SessionLine) -> bool:
        """False when it was kept before."""
        assert line.seq is not None, "refusals are no lines"
        kept = self._redis.lines.setdefault(line.session, [])
        if kept and line.seq <= (kept[-1].seq or 0):
            return False
        kept.append(line)
        del kept[:-SESSION_LINES_MAX]
        bound = self._redis.bindings.get(line.session)
        if bound is not None and isinstance(line, AckLine):
            bound.offers.pop(line.id, None)
        return True

    def _send_line(self, line: SessionLine) -> None:
        bound = self._redis.bindings.get(line.session)
        if bound is not None and bound.gateway is not None:
            self._redis.send(bound.gateway, line)

    async def fence(self, chunks: Mapping[ChunkId, Epoch]) -> Mapping[ChunkId, Tick]:
        await self._redis.turn("fence")
        fences = self._redis.fences
        for chunk, epoch in chunks.items():
            fence = fences.setdefault(chunk, Fence(epoch, Tick(0)))
            fence.epoch = max(fence.epoch, epoch)
        return {chunk: fences[chunk].tick for chunk in chunks if fences[chunk].tick > 0}

    async def conclude(self, ends: Mapping[ChunkId, Tick]) -> None:
        await self._redis.turn("conclude")
        for chunk, tick in ends.items():
            fence = self._redis.fences.setdefault(chunk, Fence(Epoch(0), Tick(0)))
            fence.tick = max(fence.tick, tick)

    async def absent(self, sessions: Iterable[SessionId]) -> Sequence[SessionId]:
        await self._redis.turn("absent")
        now_ms, presence = self._redis.now_ms(), self._redis.presence
        until_ms = now_ms + self._redis.durations.resume_ms
        return [each for each in sessions if presence.setdefault(each, until_ms) <= now_ms]

    async def ran_out(self, since_ms: int | None) -> RanOut:
        await self._redis.turn("ran_out")
        now_ms = int(self._redis.now_ms())
        if since_ms is None:
            return RanOut(now_ms)
        presence = self._redis.presence.items()
        return RanOut(now_ms, [one for one, until in presence if since_ms <= until <= now_ms])

    async def reprieve(self, sessions: Iterable[SessionId]) -> None:
        await self._redis.turn("reprieve")
        until_ms = self._redis.now_ms() + self._redis.durations.resume_ms
        for session in sessions:
            known_ms = self._redis.presence.get(session, until_ms)
            self._redis.presence[session] = max(known_ms, until_ms)

    async def unwatched_ms(self, chunks: Iterable[ChunkId]) -> Mapping[ChunkId, int]:
        await self._redis.turn("unwatched_ms")
        now_ms, watched = self._redis.now_ms(), self._redis.watched
        return {chunk: int(now_ms - watched.setdefault(chunk, now_ms)) for chunk in chunks}

    async def beat(self, slot: Slot, beat: SlotBeat) -> None:
        await self._redis.turn("beat")
        self._redis.slot_beats[slot] = (self._redis.now_ms(), beat)

    async def beat_process(self, process: str, beat: ProcessBeat) -> None:
        await self._redis.turn("beat_process")
        self._redis.process_beats[process] = (self._redis.now_ms(), beat)

    async def part(self, process: str) -> None:
        await self._redis.turn("part")
        self._redis.process_beats.pop(process, None)
        self._redis.stir()

    async def survey(self, process: str) -> Survey:
        await self._redis.turn("survey")
        return self._redis.survey(process)

    async def news(self, after: str, wait_ms: int) -> str:
        return await self._redis.news(after, wait_ms)

    async def announce(self) -> None:
        await self._redis.turn("announce")
        self._redis.stir()

    async def ping(self) -> None:
        await self._redis.turn("ping")


def _prune(bound: Bound, expires_at_ms: int) -> None:
    oldest = expires_at_ms - OFFER_FORGOTTEN_MS
    bound.offers = {id: ms for id, ms in bound.offers.items() if abs(ms) >= oldest}
