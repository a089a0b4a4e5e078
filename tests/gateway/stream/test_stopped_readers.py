"""What a hundred readers that have stopped cost in memory, however long they stand."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest

from common.events import Said
from common.grid import AgentId
from common.limits import SPECTATOR_QUEUE_MAX
from tests.gateway.stream.hall import a_hall
from tests.gateway.stream.scripted import HERE, soon

pytestmark = pytest.mark.slow

STOPPED = 100
DELTA_BYTES = 8 * 1024
AIR_BYTES = 6 * 1024  # A reader: its task, its queue of pointers, and what holds them.
GATEWAY = tracemalloc.Filter(inclusive=True, filename_pattern="*/gateway/*")
TESTS = tracemalloc.Filter(inclusive=False, filename_pattern="*/tests/*")


@pytest.fixture
def _traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("_traced")
async def test_stopped_readers_have_one_queue_in_common_and_one_write_each() -> None:
    async with a_hall() as hall:
        reading, *stopped = [hall.watch(HERE) for _ in range(STOPPED + 1)]
        await soon()
        for client in stopped:
            client.socket.have_room(1000)  # Half of a write is under way, and that is a copy.
        before, held = _held(), []
        for tick in range(1, 2 * SPECTATOR_QUEUE_MAX + 1):
            await hall.scene.shard.say(tick, Said(AgentId("agt_1"), "." * DELTA_BYTES))
            await soon()
            if tick % 32 == 0:
                reading.socket.got.clear()
                held.append(_held() - before)
        assert all(client.member.behind is not None for client in stopped)
        queue = SPECTATOR_QUEUE_MAX * DELTA_BYTES
        assert max(held) < queue * 1.1 + STOPPED * (DELTA_BYTES + AIR_BYTES)
        assert max(held[8:]) < max(held[:8]) * 1.1, "and from then on nothing is added"


def _held() -> int:
    """Bytes that were allocated by the gateway's code, and live."""
    snapshot = tracemalloc.take_snapshot().filter_traces([GATEWAY, TESTS])
    return sum(trace.size for trace in snapshot.traces)
