"""Who is there, and what is new, by Redis: what gateways and shards ask in the same words."""

from __future__ import annotations

from typing import cast

from common import topics, wire
from common.adapters.durations import Durations
from common.adapters.redis import Redis, read_script
from common.adapters.redis_link import Word
from common.grid import Slot
from common.limits import NEWS_KEPT, SHARDS_MAX
from common.topology import ProcessBeat, SlotBeat, SlotState, Survey

_SURVEY = read_script("survey")


async def read_survey(
    redis: Redis, durations: Durations, process: str = "", *, with_beats: bool = False
) -> Survey:
    """Ask as ``process``; slots' beats are only read when they are asked for."""
    keys = [topics.SLOTS, topics.PROCESSES, topics.drain(process)]
    words: list[Word] = [durations.beat_ms_max, durations.able_ms_max, durations.remembered_ms]
    words += [topics.LEASE_PREFIX, topics.COMMANDS_PREFIX, SHARDS_MAX]
    reply = await redis.call(_SURVEY, keys, words)
    slots, processes, told = cast("tuple[list[bytes | int], list[bytes], int]", reply)
    quads = zip(slots[::4], slots[1::4], slots[2::4], slots[3::4], strict=True)
    return Survey(
        {Slot(int(slot)): _state(state, with_beats) for slot, *state in quads},
        {
            name.decode(): wire.decode(beat, ProcessBeat)
            for name, beat in zip(processes[::2], processes[1::2], strict=True)
        },
        told == 1,
    )


def _state(reply: list[bytes | int], with_beats: bool) -> SlotState:
    holder, waiting, beat = reply
    assert isinstance(holder, bytes)
    assert isinstance(waiting, int)
    assert isinstance(beat, bytes)
    fresh = wire.decode(beat, SlotBeat) if with_beats and beat else None
    return SlotState(topics.process_of(holder.decode()) or None, waiting, fresh)


async def wait_news(redis: Redis, after: str, wait_ms: int) -> str:
    read: list[Word] = ["XREAD", "COUNT", NEWS_KEPT * 10]
    if wait_ms > 0:  # BLOCK 0 would be for ever.
        read += ["BLOCK", wait_ms]
    reply = await redis.wait(wait_ms / 1000, *read, "STREAMS", topics.NEWS, after)
    if reply is None:
        return after
    ((_, entries),) = cast("list[tuple[bytes, list[tuple[bytes, list[bytes]]]]]", reply)
    return entries[-1][0].decode()


async def announce(redis: Redis) -> None:
    await redis.command("XADD", topics.NEWS, "MAXLEN", "~", NEWS_KEPT, "*", "n", "")
