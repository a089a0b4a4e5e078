"""Redis, for a shard: ``shard.ports.Bus`` over streams, pub/sub and Lua.

Each call is one round trip. It decides nothing: what is refused or passed over is decided by the
scripts, in one step with what they write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from common import topics, wire
from common.adapters.durations import Durations
from common.adapters.redis import Redis, read_script
from common.adapters.redis_link import Word
from common.adapters.redis_survey import announce, read_survey, wait_news
from common.bus import Outgoing, PublishedDelta, RanOut, Received, Refusal
from common.envelopes import AckLine, SessionLine, ToShard
from common.grid import ChunkId, Epoch, SessionId, Slot, Tick
from common.limits import (
    DELTAS_KEPT_TICKS,
    OFFER_FORGOTTEN_MS,
    OFFERS_PRUNED,
    SESSION_LINES_MAX,
)
from common.topology import ProcessBeat, SlotBeat, Survey

_PUBLISH = read_script("publish")
_FENCE = read_script("fence")
_CONCLUDE = read_script("conclude")
_ABSENT = read_script("absent")
_RAN_OUT = read_script("ran_out")
_REPRIEVE = read_script("reprieve")
_UNWATCHED = read_script("unwatched")
_BEAT = read_script("beat")


class RedisShardBus:
    def __init__(self, redis: Redis, durations: Durations | None = None) -> None:
        self._redis = redis
        self._durations = durations or Durations()

    async def receive(self, slot: Slot, after: str, count: int, wait_ms: int) -> Sequence[Received]:
        read: list[Word] = ["XREAD", "COUNT", count]
        if wait_ms > 0:  # BLOCK 0 would be for ever.
            read += ["BLOCK", wait_ms]
        read += ["STREAMS", topics.commands(slot), after]
        reply = await self._redis.wait(wait_ms / 1000, *read)
        if reply is None:
            return []
        ((_, entries),) = cast("list[tuple[bytes, list[tuple[bytes, list[bytes]]]]]", reply)
        return [Received(id.decode(), _read(fields)) for id, fields in entries]

    async def done(self, slot: Slot, upto: str) -> None:
        milliseconds, _, number = upto.partition("-")
        first_kept = f"{milliseconds}-{int(number or 0) + 1}"
        await self._redis.command("XTRIM", topics.commands(slot), "MINID", first_kept)

    async def publish(
        self, slot: Slot, holder: str, outgoing: Outgoing
    ) -> frozenset[ChunkId] | None:
        keys = [topics.lease(slot), topics.commands(slot)]
        words: list[Word] = [
            holder,
            len(outgoing.deltas),
            len(outgoing.lines),
            len(outgoing.refusals),
            len(outgoing.replies),
            len(outgoing.forwards),
            self._durations.deltas_kept_ms,
            DELTAS_KEPT_TICKS,
            SESSION_LINES_MAX,
            self._durations.remembered_ms,
            topics.GATEWAY_PREFIX,
            topics.OFFER_PREFIX,
            OFFER_FORGOTTEN_MS,
            OFFERS_PRUNED,
        ]
        for delta in outgoing.deltas:
            _add_delta(delta, keys, words)
        for line in outgoing.lines:
            _add_line(line, keys, words)
        for refusal in outgoing.refusals:
            _add_refusal(refusal, keys, words)
        for gateway, reply in outgoing.replies:
            words += [gateway, wire.encode(reply)]
        for forward in outgoing.forwards:
            keys.append(topics.commands(forward.slot))
            words += [forward.source or "", wire.encode(forward.message)]
        shut_out = cast("list[int] | None", await self._redis.call(_PUBLISH, keys, words))
        if shut_out is None:
            return None
        return frozenset(outgoing.deltas[position - 1].chunk for position in shut_out)

    async def fence(self, chunks: Mapping[ChunkId, Epoch]) -> Mapping[ChunkId, Tick]:
        keys: list[str] = []
        for chunk in chunks:
            keys += [topics.fence(chunk), topics.deltas(chunk)]
        words: list[Word] = [self._durations.remembered_ms, *chunks.values()]
        last = cast("list[bytes]", await self._redis.call(_FENCE, keys, words))
        ticks = dict(zip(chunks, map(int, last), strict=True))
        return {chunk: Tick(tick) for chunk, tick in ticks.items() if tick > 0}

    async def conclude(self, ends: Mapping[ChunkId, Tick]) -> None:
        keys = [topics.fence(chunk) for chunk in ends]
        await self._redis.call(_CONCLUDE, keys, [self._durations.remembered_ms, *ends.values()])

    async def absent(self, sessions: Iterable[SessionId]) -> Sequence[SessionId]:
        words: list[Word] = [self._durations.resume_ms, *sessions]
        absent = cast("list[bytes]", await self._redis.call(_ABSENT, [topics.PRESENCE], words))
        return [SessionId(session.decode()) for session in absent]

    async def ran_out(self, since_ms: int | None) -> RanOut:
        words: list[Word] = ["" if since_ms is None else since_ms]
        reply = await self._redis.call(_RAN_OUT, [topics.PRESENCE], words)
        now_ms, sessions = cast("tuple[int, list[bytes]]", reply)
        return RanOut(now_ms, [SessionId(session.decode()) for session in sessions])

    async def reprieve(self, sessions: Iterable[SessionId]) -> None:
        words: list[Word] = [self._durations.resume_ms, *sessions]
        await self._redis.call(_REPRIEVE, [topics.PRESENCE], words)

    async def unwatched_ms(self, chunks: Iterable[ChunkId]) -> Mapping[ChunkId, int]:
        asked = list(chunks)
        reply = await self._redis.call(_UNWATCHED, [topics.WATCHED], asked)
        return dict(zip(asked, cast("list[int]", reply), strict=True))

    async def beat(self, slot: Slot, beat: SlotBeat) -> None:
        await self._redis.call(_BEAT, [topics.SLOTS], [slot, wire.encode(beat)])

    async def beat_process(self, process: str, beat: ProcessBeat) -> None:
        await self._redis.call(_BEAT, [topics.PROCESSES], [process, wire.encode(beat)])

    async def part(self, process: str) -> None:
        await self._redis.command("HDEL", topics.PROCESSES, process)
        await announce(self._redis)

    async def survey(self, process: str) -> Survey:
        return await read_survey(self._redis, self._durations, process)

    async def news(self, after: str, wait_ms: int) -> str:
        return await wait_news(self._redis, after, wait_ms)

    async def announce(self) -> None:
        await announce(self._redis)

    async def ping(self) -> None:
        await self._redis.command("PING")


def _read(fields: list[bytes]) -> ToShard | None:
    try:
        return wire.decode(fields[1], ToShard)
    except wire.Malformed:
        return None


def _add_delta(delta: PublishedDelta, keys: list[str], words: list[Word]) -> None:
    assert delta.tick > 0, "Redis has no entry 0-0, and nothing happens before the first tick"
    keys += [topics.deltas(delta.chunk), topics.fence(delta.chunk)]
    words += [delta.epoch, delta.tick, delta.prev_tick, delta.data]


def _add_line(line: SessionLine, keys: list[str], words: list[Word]) -> None:
    assert line.seq is not None, "refusals are no lines"
    keys += [topics.lines(line.session), topics.binding(line.session)]
    accepted = topics.offer(line.id) if isinstance(line, AckLine) else ""
    words += [line.seq, accepted, wire.encode(line)]


def _add_refusal(refusal: Refusal, keys: list[str], words: list[Word]) -> None:
    line = refusal.line
    assert line.expires_at_ms is not None, "a refusal says which offer it is about"
    keys.append(topics.binding(line.session))
    words += [refusal.position, topics.offer(line.id), line.expires_at_ms]
    words += [int(refusal.is_told), wire.encode(line)]
