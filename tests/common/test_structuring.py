from __future__ import annotations

from typing import Any

import pytest
from cattrs.preconf.msgspec import MsgspecJsonConverter
from hypothesis import given
from hypothesis import strategies as st

from common import wire
from common.commands import Command, MoveTo, Say, Wait
from common.envelopes import AckLine, ResultLine, SessionLine, Shown, ToGateway
from common.events import Entered, Event, Failed, Left, Moved, Said
from common.frames import (
    Ack,
    Answer,
    ChunkDelta,
    ChunkStatic,
    ClientFrame,
    CommandRequest,
    Entity,
    Position,
    Proof,
    Result,
    ServerFrame,
)
from common.grid import AgentId, ChunkId, CommandId, SessionId, Tick
from common.structuring import make_readers

AGENT, CHUNK = AgentId("agt_1"), ChunkId("0:0")
PROOF = Proof("A" * 22, "b" * 43)
EVENTS: list[Event] = [
    Entered(AGENT, "agent", 1, 2, "name", ChunkId("1:0")),
    Moved(AGENT, 1, 2),
    Said(AGENT, "hello"),
    Failed(AGENT, "blocked"),
    Left(AGENT, "moved", CHUNK),
]
KNOWN: list[tuple[object, Any]] = [
    *((event, Event) for event in EVENTS),
    *((command, Command) for command in (MoveTo(1, -2), Say("hello"), Wait(3))),
    (CommandRequest(CommandId("a"), {"name": "wait", "ticks": 1}, PROOF), ClientFrame),
    (Answer(CommandId("a"), "A" * 22, "b" * 43), ClientFrame),
    (Ack(CommandId("a"), "accepted", tick=Tick(1), seq=1), ServerFrame),
    (Result(CommandId("a"), 2, "failed", Tick(1), CHUNK, Position(1, 2), "blocked"), ServerFrame),
    (ChunkDelta(CHUNK, Tick(2), Tick(1), EVENTS), ServerFrame),
    (
        ChunkStatic(CHUNK, 1, Tick(2), 2, ["..", ".#"], [Entity(AGENT, "agent", 0, 1)]),
        ServerFrame,
    ),
    (AckLine(SessionId("s"), CommandId("a"), seq=1, tick=Tick(1)), SessionLine),
    (ResultLine(SessionId("s"), CommandId("a"), 2, Tick(1), CHUNK, Position(1, 2)), SessionLine),
    (Shown(CHUNK, "{}"), ToGateway),
]
READERS = {strict: make_readers(strict=strict) for strict in (True, False)}
OTHERS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.floats(allow_nan=False),
    st.sampled_from(["", "a", "moved", "blocked", "accepted", "0:0", "A" * 22]),
    st.lists(st.integers(0, 1), max_size=2),
    st.dictionaries(st.sampled_from(["id", "x", "type"]), st.integers(0, 1), max_size=2),
)


@pytest.mark.parametrize(("value", "kind"), KNOWN, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("strict", [True, False])
def test_what_is_right_is_read_quickly(value: object, kind: Any, *, strict: bool) -> None:
    readers = READERS[strict]
    plain = wire.unstructure(value)
    assert readers.quick.structure(plain, kind) == value
    assert readers.thorough.structure(plain, kind) == value


@given(st.sampled_from(KNOWN), st.booleans(), st.data())
def test_both_ways_of_reading_take_the_same(
    known: tuple[object, Any],
    strict: bool,
    data: st.DataObject,
) -> None:
    value, kind = known
    plain = wire.unstructure(value)
    _spoil(plain, data)
    readers = READERS[strict]
    assert _read(readers.quick, plain, kind) == _read(readers.thorough, plain, kind)


def _read(reader: MsgspecJsonConverter, plain: object, kind: Any) -> object:
    """What is read, with the types of scalars; None when it is refused."""
    try:
        return repr(reader.structure(plain, kind))
    except Exception:  # noqa: BLE001  Whatever it is: wire tells them apart.
        return None


def _spoil(plain: Any, data: st.DataObject) -> None:
    """Change, add or leave out one thing, here or further down."""
    keys = list(plain) if isinstance(plain, dict) else list(range(len(plain)))
    if not keys:
        return
    key = data.draw(st.sampled_from(keys))
    if isinstance(plain[key], dict | list) and data.draw(st.booleans()):
        _spoil(plain[key], data)
    elif isinstance(plain, dict) and data.draw(st.integers(0, 4)) == 0:
        del plain[key]
    elif isinstance(plain, dict) and data.draw(st.integers(0, 4)) == 0:
        plain["another"] = 1
    else:
        plain[key] = data.draw(OTHERS)
