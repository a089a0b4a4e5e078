from __future__ import annotations

from collections.abc import Sequence

import pytest

from common.bus import Delta
from common.grid import ChunkId, Tick
from gateway.stream.position import Mark
from gateway.stream.view import View
from tests.gateway.stream.hall import a_hall
from tests.gateway.stream.scripted import HERE, THERE, soon

MISSED = 60


async def test_what_was_missed_of_one_chunk_has_gone_before_that_of_the_next_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two minutes of a full view are many megabytes, for one client that may take nothing."""
    async with a_hall() as hall:
        other = hall.watch(HERE, THERE)
        await soon()
        await hall.say(*range(1, MISSED + 1))
        await hall.say(*range(1, MISSED + 1), chunk=THERE)
        read, asked = hall.scene.bus.deltas_after, list[ChunkId]()

        async def deltas_after(chunk: ChunkId, tick: Tick) -> Sequence[Delta] | None:
            asked.append(chunk)
            return await read(chunk, tick)

        monkeypatch.setattr(hall.scene.bus, "deltas_after", deltas_after)
        position = {chunk: Mark(1, Tick(1)) for chunk in (HERE, THERE)}
        back = hall.watch(view=View((HERE, THERE), came_back=True, position=position))
        back.socket.have_room(100)
        await soon()
        assert asked == [HERE]
        back.socket.have_room(None)
        await soon()
        assert asked == [HERE, THERE]
        assert back.socket.got.count(b"event: chunk_delta") == 2 * (MISSED - 1)
        assert back.is_direct
        assert other.is_direct
