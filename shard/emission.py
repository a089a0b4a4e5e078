"""What a shard has to say to the outside, ready to be sent: an emission.

Pure. All of a process go through one outbox, in order: published first, then what PostgreSQL must
remember, then the questions that may only be asked once it does. Everything in one may be
sent twice, and whoever receives it recognises that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import assert_never

import attrs

from common import wire
from common.bus import Forward, PublishedDelta, Refusal
from common.envelopes import (
    ArrivalAsked,
    CrossingAnswered,
    LoadAsked,
    Released,
    ResultLine,
    SessionLine,
    ToGateway,
)
from common.frames import ChunkDelta
from common.grid import ChunkId, Epoch, GatewayId, Tick
from common.journal import Fact, PlacedFact, ResultFact, Retired, TransferFact
from shard.world.codec import encode_agent
from shard.world.effects import Arrived, Departing, Effect, Finished, Gone, Placed, Unplaced
from shard.world.state import Chunk
from shard.world.tick import TickResult


@attrs.frozen
class Ask:
    """A message to another chunk's shard; sent only while ``chunk`` is still ours by ``epoch``."""

    chunk: ChunkId
    epoch: Epoch
    message: ArrivalAsked | CrossingAnswered | LoadAsked


@attrs.frozen
class Keep:
    """Save ``chunk``, once all that came before it is published and recorded."""

    chunk: Chunk
    epoch: Epoch
    is_final: bool = False


@attrs.frozen
class Emission:
    deltas: tuple[PublishedDelta, ...] = ()
    lines: tuple[SessionLine, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    replies: tuple[tuple[GatewayId, ToGateway], ...] = ()
    forwards: tuple[Forward, ...] = ()
    facts: tuple[Fact, ...] = ()
    asks: tuple[Ask, ...] = ()
    keeps: tuple[Keep, ...] = ()
    retired: tuple[Retired, ...] = ()
    released: tuple[Released, ...] = ()
    """Chunks that we have parted with; said once all before it is remembered."""
    receipts: tuple[str, ...] = ()
    """Positions in the slot's stream of which this is the end: all before it in order is sent."""

    @property
    def is_for_the_record(self) -> bool:
        return bool(self.facts or self.asks or self.keeps or self.retired or self.released)


TraceOf = Callable[[Finished | Departing], str]
"""Returns the trace of the command that ended, or leads away; "" when nobody knows it."""


def _unknown(_effect: Finished | Departing) -> str:
    return ""


def emission_of(
    before: Chunk,
    epoch: Epoch,
    result: TickResult,
    published: Tick = Tick(0),
    trace_of: TraceOf = _unknown,
) -> Emission | None:
    """Return what the tick that led from ``before`` to ``result`` has to say; None when nothing.

    Up to ``published`` deltas are known: they are not made.
    """
    if not result.events and not result.effects:
        return None
    after = result.chunk
    lines: list[ResultLine] = []
    facts: list[Fact] = []
    asks: list[Ask] = []
    for effect in result.effects:
        line, fact, ask = _told(effect, after, epoch, trace_of)
        lines += line
        facts += fact
        asks += ask
    return Emission(
        deltas=_deltas(before, epoch, result) if after.tick > published else (),
        lines=tuple(lines),
        facts=tuple(facts),
        asks=tuple(asks),
    )


def _deltas(before: Chunk, epoch: Epoch, result: TickResult) -> tuple[PublishedDelta, ...]:
    if not result.events:
        return ()
    chunk, tick = before.id, result.chunk.tick
    delta = ChunkDelta(chunk, tick, before.changed, list(result.events))
    return (PublishedDelta(chunk, epoch, tick, before.changed, wire.encode(delta)),)


_Told = tuple[Iterable[ResultLine], Iterable[Fact], Iterable[Ask]]


def _told(effect: Effect, chunk: Chunk, epoch: Epoch, trace_of: TraceOf) -> _Told:
    match effect:
        case Finished():
            line = _result(effect, chunk, trace_of(effect))
            return (line,), (ResultFact(chunk.id, epoch, line),), ()
        case Placed(agent=agent, position=at):
            return (), (PlacedFact(chunk.id, epoch, agent, at.x, at.y, present=True),), ()
        case Gone(agent=agent, position=at):
            return (), (PlacedFact(chunk.id, epoch, agent, at.x, at.y, present=False),), ()
        case Departing():
            # The fact is the referee's word that the chunk is ours: a shard that was paused and
            # has lost it must not send anybody over a border.
            ask = departure(effect, chunk.id, epoch, trace_of(effect))
            return (), (_standing(effect, chunk, epoch),), (ask,)
        case Arrived():
            fact = TransferFact(chunk.id, epoch, effect.transfer, effect.entered)
            return (), (fact,), (_answer(effect, chunk.id, epoch),)
        case Unplaced():
            return (), (), ()  # Whoever asked is told by the aftermath, which knows who that was.
    assert_never(effect)


def _result(effect: Finished, chunk: Chunk, trace: str) -> ResultLine:
    return ResultLine(
        session=effect.session,
        id=effect.id,
        seq=effect.seq,
        tick=chunk.tick,
        chunk=chunk.id,
        position=effect.position,
        reason=effect.reason,
        trace=trace,
    )


def _standing(effect: Departing, chunk: Chunk, epoch: Epoch) -> PlacedFact:
    agent = chunk.agents[effect.traveller.id]
    return PlacedFact(chunk.id, epoch, agent.id, agent.x, agent.y, present=True)


def departure(effect: Departing, chunk: ChunkId, epoch: Epoch, trace: str = "") -> Ask:
    """Return the question that ``effect`` puts to its target."""
    traveller = encode_agent(effect.traveller)
    question = ArrivalAsked(effect.transfer, chunk, effect.target, traveller, trace)
    return Ask(chunk, epoch, question)


def _answer(effect: Arrived, chunk: ChunkId, epoch: Epoch) -> Ask:
    answer = CrossingAnswered(
        transfer=effect.transfer,
        agent=effect.agent,
        chunk=effect.source,
        target=chunk,
        entered=effect.entered,
    )
    return Ask(chunk, epoch, answer)
