"""The shards: how they are doing, another number of them, and one that is to go.

What is wanted is written in PostgreSQL, and the answer is 202: shards and gateways follow by
themselves (``ops/decisions/topology.md``), and ``GET /ops/topology`` shows how far they are.
"""

from __future__ import annotations

import contextlib
from typing import Annotated

import attrs
import trio
from msgspec import Meta

from common.errors import Trouble
from common.grid import Slot
from common.limits import REDIS_SECONDS_MAX, SHARDS_MAX
from common.operators import OperatorToken
from common.topology import SlotBeat, SlotState, Survey
from gateway.http.problems import Problem
from gateway.http.route import Ask, Route
from gateway.ops.callers import OPERATOR, VIEWER
from gateway.ops.record import recorded

_NOBODY = Problem("not_found", "Nobody holds a slot of that number.")

Milliseconds = Annotated[float, Meta(ge=0)]


@attrs.frozen
class Wanted:
    epoch: int
    shard_count: int


@attrs.frozen
class SeenPauses:
    """Of the chunks that the reshard to ``epoch`` brought to a slot."""

    epoch: int
    chunks: int
    p50_ms: Milliseconds
    p99_ms: Milliseconds
    max_ms: Milliseconds


@attrs.frozen
class SeenSlot:
    """``shard`` is the process that holds it; what only that knows is null until it has said so.

    ``epoch`` is the topology's that it goes by, ``leaving`` the chunks that it has yet to hand
    over, ``waiting`` the messages in its stream.
    """

    slot: Slot
    in_force: bool
    shard: str | None
    waiting: int
    epoch: int | None
    chunks: int | None
    agents: int | None
    lateness_p50_ms: Milliseconds | None
    lateness_p99_ms: Milliseconds | None
    leaving: int | None
    draining: bool
    moved: SeenPauses | None


@attrs.frozen
class SeenShard:
    """A process; one without slots stands by."""

    shard: str
    slots: list[Slot]
    chunks: int
    draining: bool


@attrs.frozen
class SeenTopology:
    """In force are ``epoch`` and ``shard_count``; ``wanted`` is what will be, null if that is all.

    Slots beyond the count are there while they are being emptied.
    """

    epoch: int
    shard_count: int
    wanted: Wanted | None
    slots: list[SeenSlot]
    shards: list[SeenShard]


@attrs.frozen
class Reshard:
    shard_count: Annotated[int, Meta(ge=1, le=SHARDS_MAX)]


@attrs.frozen
class Resharding:
    epoch: int
    shard_count: int


@attrs.frozen
class Draining:
    slot: Slot


async def show_topology(ask: Ask[OperatorToken, None]) -> SeenTopology:
    topologies = await ask.outside.accounts.topologies()
    survey = await ask.outside.bus.survey()
    in_force, wanted = topologies.in_force, topologies.wanted
    return SeenTopology(
        in_force.epoch,
        in_force.shard_count,
        Wanted(wanted.epoch, wanted.shard_count) if topologies.is_changing else None,
        [
            _seen(slot, slot in in_force.slots, survey)
            for slot in sorted(in_force.slots | set(survey.slots))
        ],
        [
            SeenShard(name, sorted(beat.slots), beat.chunks, beat.is_draining)
            for name, beat in sorted(survey.processes.items())
        ],
    )


def _seen(slot: Slot, in_force: bool, survey: Survey) -> SeenSlot:
    state = survey.slots.get(slot, SlotState(process=None, waiting=0))
    beat = state.beat
    if beat is None:
        return SeenSlot(
            slot, in_force, state.process, state.waiting,
            None, None, None, None, None, None, draining=False, moved=None,
        )  # fmt: skip
    return SeenSlot(
        slot,
        in_force,
        state.process,
        state.waiting,
        beat.epoch,
        beat.chunks,
        beat.agents,
        beat.lateness_p50_ms,
        beat.lateness_ms,
        beat.leaving,
        beat.is_draining,
        _pauses(beat),
    )


def _pauses(beat: SlotBeat) -> SeenPauses | None:
    moved = beat.moved
    if moved is None:
        return None
    return SeenPauses(moved.epoch, moved.chunks, moved.p50_ms, moved.p99_ms, moved.max_ms)


async def reshard(ask: Ask[OperatorToken, Reshard]) -> Resharding:
    topology = await ask.outside.accounts.ask_reshard(ask.body.shard_count)
    # Only to hurry: shards look by themselves, too.
    with contextlib.suppress(Trouble), trio.move_on_after(REDIS_SECONDS_MAX):
        await ask.outside.bus.announce()
    return Resharding(topology.epoch, topology.shard_count)


async def drain(ask: Ask[OperatorToken, None]) -> Draining | Problem:
    text = ask.named
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(SHARDS_MAX))
    if not is_number or not await ask.outside.bus.drain(Slot(int(text))):
        return _NOBODY
    return Draining(Slot(int(text)))


ROUTES = (
    Route(
        "GET",
        "/ops/topology",
        "Show the shards, their slots, and how they are doing",
        VIEWER,
        type(None),
        show_topology,
        answers={SeenTopology: 200},
    ),
    recorded(
        Route(
            "POST",
            "/ops/reshard",
            "Change the number of shards while the world runs",
            OPERATOR,
            Reshard,
            reshard,
            answers={Resharding: 202},
        ),
        target=lambda ask: str(ask.body.shard_count),
    ),
    recorded(
        Route(
            "POST",
            "/ops/shards/{slot}/drain",
            "Have the process that holds a slot hand over all that it has, and end",
            OPERATOR,
            type(None),
            drain,
            answers={Draining: 202},
            refusals=("not_found",),
        )
    ),
)
