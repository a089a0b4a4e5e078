from __future__ import annotations

from trio.testing import MockClock

from common.bus import Received
from common.envelopes import Detach
from common.grid import AgentId, ChunkId, SessionId
from common.limits import HELD_MAX, INNER_MAX
from shard.inbox import WITHIN, Inbox

CHUNK = ChunkId("0:0")


def a_message(name: str = "ann") -> Detach:
    return Detach(SessionId("ses"), AgentId(name), CHUNK)


def an_inbox(*positions: str) -> Inbox:
    inbox = Inbox()
    inbox.receive(Received(position, a_message()) for position in positions)
    return inbox


async def test_the_stream_is_forgotten_only_up_to_the_first_that_is_not_dealt_with() -> None:
    inbox = an_inbox("1", "2", "3", "4")
    assert len(await inbox.take()) == 4
    inbox.finish(["1", "3", "4"])
    assert inbox.take_done() == "1"
    assert inbox.take_done() is None
    inbox.finish(["2"])
    assert inbox.take_done() == "4"


async def test_what_was_held_comes_back_first_and_with_its_position() -> None:
    inbox = an_inbox("1", "2")
    first, second = await inbox.take()
    inbox.hold(CHUNK, first)
    inbox.hold(CHUNK, second)
    assert inbox.held_positions() == {"1", "2"}
    inbox.receive([Received("3", a_message())])
    inbox.release(CHUNK)
    assert [one.position for one in await inbox.take()] == ["1", "2", "3"]
    assert inbox.held == 0


async def test_messages_of_our_own_are_bounded_and_held_ones_refused_beyond() -> None:
    inbox = Inbox()
    for _ in range(INNER_MAX + 5):
        inbox.tell(a_message())
    assert len(inbox) == INNER_MAX
    for _ in range(HELD_MAX):
        inbox.hold(CHUNK, Received(WITHIN, a_message()))
    assert not inbox.may_hold


async def test_waiting_for_messages_ends_with_the_first(autojump_clock: MockClock) -> None:
    inbox = Inbox()
    inbox.tell(a_message("bob"))
    (received,) = await inbox.take()
    assert received.message == a_message("bob")
