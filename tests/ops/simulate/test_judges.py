"""Each judge, alone: what it must notice, it notices."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio

from common import wire
from common.bus import Delta
from common.events import Entered, Event, Left, Moved, Said
from common.frames import Ack, ChunkDelta, ChunkStatic, CommandRequest, Position, Result
from common.grid import AgentId, ChunkId, CommandId, Epoch, SessionId, Tick
from common.journal import Retired, Row, Taken
from ops.simulate.books import Books
from ops.simulate.census import Census
from ops.simulate.ledger import Ledger
from ops.simulate.sight import Sight
from ops.simulate.writers import Writers
from shard.world.codec import encode_input
from shard.world.inputs import Enter

HERE, THERE, NORTH = ChunkId("0:0"), ChunkId("1:0"), ChunkId("0:-1")
ADA, BOB = AgentId("ada"), AgentId("bob")
SESSION = SessionId("ses_1")


def a_delta(tick: int, prev_tick: int, *events: Event, chunk: ChunkId = HERE) -> Delta:
    frame = ChunkDelta(chunk, Tick(tick), Tick(prev_tick), list(events))
    return Delta(chunk, Tick(tick), Tick(prev_tick), wire.encode(frame))


def ada_enters(tick: int = 1, chunk: ChunkId = HERE, source: ChunkId | None = None) -> Delta:
    return a_delta(tick, 0, Entered(ADA, "agent", 1, 1, from_=source), chunk=chunk)


async def judged(*deltas: Delta) -> str | None:
    await trio.lowlevel.checkpoint()
    ledger = Ledger()
    census = Census(ledger)
    for delta in deltas:
        census.hear(delta)
    return ledger.violation


async def test_an_ordinary_life_breaks_nothing() -> None:
    crossing = [
        ada_enters(),
        a_delta(2, 1, Moved(ADA, 2, 1)),
        a_delta(9, 0, Entered(ADA, "agent", 50, 1, from_=HERE), chunk=THERE),
        a_delta(4, 2, Left(ADA, "moved", THERE)),
        a_delta(10, 9, Left(ADA, "session_ended"), chunk=THERE),
    ]
    assert await judged(*crossing) is None


async def test_who_has_gone_on_may_be_shown_behind_for_as_long_as_nobody_can_say_so() -> None:
    going_on = [
        ada_enters(),
        ada_enters(chunk=THERE, source=HERE),
        ada_enters(chunk=NORTH, source=THERE),
        a_delta(2, 1, Left(ADA, "moved", NORTH), chunk=THERE),
        a_delta(2, 1, Left(ADA, "moved", THERE)),
    ]
    assert await judged(*going_on) is None


@pytest.mark.parametrize(
    ("deltas", "words"),
    [
        ([ada_enters(), a_delta(1, 0)], "tick 1 after 1"),
        ([ada_enters(), a_delta(3, 2)], "2..3 after 1"),
        ([ada_enters(), a_delta(2, 1, Entered(BOB, "agent", 1, 1))], "share a cell"),
        ([ada_enters(), a_delta(2, 1, Left(ADA, "moved", THERE))], "went to none"),
        (
            [
                ada_enters(),
                ada_enters(chunk=THERE, source=HERE),
                a_delta(2, 1, Left(ADA, "moved", NORTH)),
            ],
            "went to 1:0",
        ),
        (
            [
                ada_enters(),
                ada_enters(chunk=THERE, source=HERE),
                ada_enters(chunk=NORTH, source=HERE),
            ],
            "entered 0:-1 from 0:0 and is in ['1:0']",
        ),
        ([ada_enters(), a_delta(2, 1, Said(ADA, "x"), Said(ADA, "x"))], "said twice"),
        ([ada_enters(), a_delta(2, 1, Entered(ADA, "agent", 2, 2))], "entered 0:0 twice"),
        ([ada_enters(), ada_enters(chunk=THERE)], "entered 1:0 from nowhere and is in ['0:0']"),
        ([ada_enters(), ada_enters(chunk=THERE, source=NORTH)], "from 0:-1 and is in ['0:0']"),
        ([a_delta(1, 0, Moved(ADA, 1, 1))], "without being there"),
        ([a_delta(1, 0, Left(ADA, "session_ended"))], "without being there"),
    ],
)
async def test_the_census_notices(deltas: Sequence[Delta], words: str) -> None:
    assert words in (await judged(*deltas) or "")


@pytest.mark.parametrize(
    ("again", "is_told"),
    [
        ([ada_enters(), a_delta(2, 1)], True),
        ([a_delta(2, 1), a_delta(3, 2)], True),
        ([a_delta(1, 0, Entered(BOB, "agent", 1, 1))], False),
        ([ada_enters(), ada_enters()], False),
        ([a_delta(3, 2), a_delta(2, 1)], False),
    ],
)
async def test_a_redis_that_forgot_may_be_told_the_very_same_again_once(
    again: Sequence[Delta], *, is_told: bool
) -> None:
    ledger = Ledger()
    census = Census(ledger)
    for delta in (ada_enters(), a_delta(2, 1)):
        census.hear(delta)
    census.forget()
    for delta in again:
        census.hear(delta)
    assert (ledger.violation is None) is is_told


async def test_a_static_is_what_the_deltas_add_up_to() -> None:
    ledger = Ledger()
    census = Census(ledger)
    census.hear(ada_enters())
    census.check_static("x", ChunkStatic(HERE, 1, Tick(0), 50, [], []))
    assert ledger.violation is None
    census.check_static("x", ChunkStatic(HERE, 1, Tick(1), 50, [], []))
    assert ledger.violation is not None


async def test_a_chunk_ends_empty_and_goes_on_from_there_and_from_nowhere_else() -> None:
    lived = [ada_enters(), a_delta(2, 1, Left(ADA, "session_ended"))]
    for end, later, words in (
        (9, a_delta(12, 9), None),
        (9, a_delta(12, 2), "2..12 after 9"),
        (9, a_delta(12, 8), "8..12 after 9"),
        (9, a_delta(9, 2), "tick 9 after 9"),
        (2, a_delta(12, 2), "ended at 2, after tick 2"),
    ):
        ledger = Ledger()
        census = Census(ledger)
        for delta in lived:
            census.hear(delta)
        census.end(HERE, Tick(end))
        census.hear(later)
        census.hear(a_delta(13, 12))
        if words is None:
            assert ledger.violation is None
            census.hear(a_delta(30, 20))
            assert "20..30 after 13" in str(ledger.violation), "one gap a generation"
        else:
            assert words in str(ledger.violation)


async def test_nobody_is_in_a_chunk_that_ends() -> None:
    ledger = Ledger()
    census = Census(ledger)
    census.hear(ada_enters())
    census.end(HERE, Tick(9))
    assert "with ['ada'] in it" in str(ledger.violation)


async def test_what_is_shown_is_of_the_generation_of_its_tick() -> None:
    for tick, generation, is_right in ((8, 1, True), (8, 2, False), (9, 1, False), (9, 2, True)):
        ledger = Ledger()
        census = Census(ledger)
        census.end(HERE, Tick(9))
        census.check_static("x", ChunkStatic(HERE, generation, Tick(tick), 50, [], []))
        assert (ledger.violation is None) == is_right


def an_ack(seq: int | None, id: str = "c-1", tick: int = 5) -> Ack:
    if seq is None:
        return Ack(CommandId(id), "rejected", code="unavailable")
    return Ack(CommandId(id), "accepted", tick=Tick(tick), seq=seq)


def a_request(id: str = "c-1") -> CommandRequest:
    return CommandRequest(CommandId(id), {"name": "wait", "ticks": 1})


def a_result(seq: int, id: str = "c-1") -> Result:
    return Result(CommandId(id), seq, "completed", Tick(9), HERE, Position(1, 1))


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ([an_ack(1), a_result(2), a_request(), an_ack(1), a_result(2)], None),
        ([an_ack(1), a_result(2), a_result(2)], "once more, and nobody asked"),
        ([an_ack(1), a_request(), an_ack(1), None, an_ack(1)], "once more, and nobody asked"),
        ([an_ack(2)], "seq 2 after 0"),
        ([a_result(1)], "before its ack"),
        ([an_ack(1), an_ack(2)], "at 1 and at 2"),
        ([an_ack(1), an_ack(1, tick=6)], "and is now"),
        ([an_ack(1), a_result(2), a_result(3)], "at 2 and at 3"),
        ([an_ack(1), an_ack(None)], "and then unavailable"),
    ],
)
async def test_the_books_notice(
    told: Sequence[Ack | Result | CommandRequest | None], words: str | None
) -> None:
    """None: another connection begins."""
    ledger = Ledger()
    books = Books(ledger)
    for frame in told:
        match frame:
            case None:
                books.begin(SESSION)
            case CommandRequest():
                books.send(SESSION, frame)
            case _:
                books.hear(SESSION, frame)
    if words is None:
        assert ledger.violation is None
    else:
        assert words in str(ledger.violation)


async def test_what_was_refused_is_not_accepted_unless_it_was_sent_again() -> None:
    for sent_again in (False, True):
        ledger = Ledger()
        books = Books(ledger)
        books.hear(SESSION, an_ack(None))
        if sent_again:
            books.send(SESSION, a_request())
        books.hear(SESSION, an_ack(1))
        assert (ledger.violation is None) is sent_again


async def test_a_sight_is_one_chunk_without_a_gap() -> None:
    for tick, prev_tick, is_broken in ((2, 1, False), (3, 2, True), (1, 0, True)):
        ledger = Ledger()
        census = Census(ledger)
        census.hear(a_delta(1, 0))
        sight = Sight("ada", ledger, census)
        sight.see(ChunkStatic(HERE, 1, Tick(1), 50, [], []))
        sight.see(ChunkDelta(HERE, Tick(tick), Tick(prev_tick), []))
        assert (ledger.violation is not None) == is_broken


def a_row(epoch: int, session: str = "ses_1", ordinal: int = 0) -> Row:
    told = Enter(AgentId("agt_1"), SessionId(session), "ann")
    return Row(HERE, Epoch(epoch), Tick(1), ordinal, encode_input(told))


async def test_no_session_drives_after_a_newer_one() -> None:
    ledger = Ledger()
    writers = Writers(ledger, Census(ledger))
    writers.took("a", [Taken(HERE, Epoch(1), 1, Tick(0), None, None, ())])
    older, newer = a_row(1, "ses_1"), a_row(1, "ses_2", 1)
    for rows in ([older], [newer], [older, newer], [a_row(1, "ses_2", 2)]):
        writers.wrote("a", rows, frozenset())  # One that is committed again says nothing new.
    assert ledger.violation is None
    writers.wrote("a", [a_row(1, "ses_1", 3)], frozenset())
    assert "agt_1 is driven by ses_1 after ses_2" in str(ledger.violation)


async def test_only_the_newest_epoch_may_write_and_only_who_took_it() -> None:
    ledger = Ledger()
    writers = Writers(ledger, Census(ledger))

    def take(process: str, epoch: int) -> None:
        writers.took(process, [Taken(HERE, Epoch(epoch), 1, Tick(0), None, None, ())])

    def write(process: str, epoch: int, *fenced: ChunkId) -> None:
        writers.wrote(process, [a_row(epoch)], frozenset(fenced))

    take("a", 1)
    write("a", 1)
    take("b", 2)
    write("a", 1, HERE)
    assert ledger.violation is None
    write("a", 1)
    assert "after 2 was taken" in str(ledger.violation)


async def test_a_chunk_is_collected_by_its_owner_and_nothing_is_written_after_that() -> None:
    ledger = Ledger()
    writers = Writers(ledger, Census(ledger))
    end = Retired(HERE, Epoch(1), Tick(5))
    writers.took("a", [Taken(HERE, Epoch(1), 1, Tick(0), None, None, ())])
    writers.collected("a", end)
    writers.collected("a", end)  # Told once more.
    assert ledger.violation is None
    writers.wrote("a", [a_row(1)], frozenset())
    assert "after its end" in str(ledger.violation)


async def test_only_the_newest_epoch_may_collect() -> None:
    ledger = Ledger()
    writers = Writers(ledger, Census(ledger))
    for epoch in (1, 2):
        writers.took("a", [Taken(HERE, Epoch(epoch), 1, Tick(0), None, None, ())])
    writers.collected("a", Retired(HERE, Epoch(1), Tick(5)))
    assert "after 2 was taken" in str(ledger.violation)
