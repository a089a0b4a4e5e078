"""A chunk that can't be recovered is that chunk's trouble alone: its slot is served."""

from __future__ import annotations

import attrs
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from common.commands import Say
from common.envelopes import AttachRefused
from common.grid import ChunkId
from shard.loader import SPOILT
from tests.shard.town import Town

BAD = ChunkId("0:0")


async def test_the_other_chunks_of_a_slot_go_on_beside_one_that_cannot_be_recovered(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await town.join("ann")
    town.sign_up("bob", "1:0")
    await town.join("bob")
    await town.stop("s1")
    kept = town.postgres.chunks[BAD].snapshot
    assert kept is not None
    town.postgres.chunks[BAD].snapshot = attrs.evolve(kept, digest="another")

    with capture_logs() as logs:
        town.start("s2")
        await town.join("bob")
        await town.offer(
            town.command("ann", "c1", Say("is anybody there?")),
            town.command("bob", "c2", Say("here"), chunk="1:0"),
        )
        await town.wait_for(lambda: town.results("c2"))
        await town.offer(town.attach("ann"))
        await town.wait_for(lambda: any(isinstance(m, AttachRefused) for m in town.heard))
        await trio.sleep(60)

    assert [log["chunk"] for log in logs if log["event"] == SPOILT] == [BAD]
    assert town.acks("c1") == []
    assert town.postgres.chunks[BAD].snapshot == attrs.evolve(kept, digest="another")
    assert town.population()["bob"] == [ChunkId("1:0")]
