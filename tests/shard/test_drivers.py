"""A session that is over takes no agent, however late its Attach comes."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from common.commands import Say, Wait
from common.envelopes import Attached, AttachRefused, SessionEnded
from common.grid import ChunkId, SessionId
from tests.shard.town import GATEWAY, Town

OLD, NEW = SessionId("ses_old"), SessionId("ses_new")


async def test_a_late_attach_of_an_older_session_does_not_take_the_agent_over(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await town.join("ann", OLD)
    await town.join("ann", NEW)
    await town.offer(town.command("ann", "c1", Wait(50), session=NEW))
    await town.wait_for(lambda: town.acks("c1"))
    await town.offer(town.attach("ann", OLD))
    await town.wait_for(lambda: SessionEnded(OLD, replaced=True) in town.heard)
    await town.offer(town.command("ann", "c2", Say("still me"), session=NEW))
    await town.wait_for(lambda: town.results("c1") and town.results("c2"))
    assert {town.results(id)[0].reason for id in ("c1", "c2")} == {None}
    assert not any(isinstance(m, AttachRefused) for m in town.heard)


async def test_in_one_batch_only_the_newest_session_drives(
    autojump_clock: MockClock, town: Town
) -> None:
    """The older one's is decided first, and nothing of the batch may be lost by its refusal."""
    town.start("s1")
    await town.join("bob")
    town.sign_up("ann")
    for session in (OLD, NEW):
        await town.open_session("ann", session)
        await town.gateway.bind(session, GATEWAY)
    await town.offer(
        town.attach("ann", OLD), town.command("bob", "c1", Say("hello")), town.attach("ann", NEW)
    )
    await town.wait_for(lambda: _attached(town, "ann") and town.results("c1"))
    assert [one.session for one in _attached(town, "ann")] == [NEW]
    assert SessionEnded(OLD, replaced=True) in town.heard


@pytest.mark.parametrize("is_known", [True, False])
async def test_who_is_over_does_not_come_back_into_the_world(
    autojump_clock: MockClock, town: Town, is_known: bool
) -> None:
    town.start("s1")
    town.sign_up("ann")
    if is_known:
        await town.open_session("ann", OLD)
        town.end_session(OLD)
    await town.offer(town.attach("ann", OLD))
    await town.wait_for(lambda: SessionEnded(OLD) in town.heard)
    await trio.sleep(1)
    assert town.population() == {}
    assert not town.postgres.chunks[ChunkId("0:0")].journal


async def test_who_drives_already_is_answered_without_being_asked_for_proof(
    autojump_clock: MockClock, town: Town
) -> None:
    """Its gateway only asks where the agent is; that it must end is told by whoever ends it."""
    town.start("s1")
    await town.join("ann", OLD)
    before = len(_attached(town, "ann"))
    town.end_session(OLD)
    await town.offer(town.attach("ann", OLD))
    await town.wait_for(lambda: len(_attached(town, "ann")) > before)


def _attached(town: Town, agent: str) -> list[Attached]:
    return [m for m in town.heard if isinstance(m, Attached) and m.agent == agent]
