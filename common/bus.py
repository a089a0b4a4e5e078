"""The values that go through Redis beside the messages of ``common.envelopes``.

Pure. The ports of gateway and shard speak in these, and both kinds of adapters do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from common.envelopes import AckLine, SessionLine, ToGateway, ToShard
from common.grid import ChunkId, CommandId, Epoch, GatewayId, SessionId, Slot, Tick
from common.topology import SlotBeat

# A gateway's


@attrs.frozen
class Take:
    """One token out of a bucket that holds ``burst`` and refills at ``per_second``.

    ``kind`` and ``subject`` name the bucket: ("signup", "203.0.113.7"), ("command", "ses_...").
    """

    kind: str
    subject: str
    per_second: float
    burst: int


@attrs.frozen
class Offer:
    """Take all ``takes`` or none; if that went well, append ``message`` to the slot's stream.

    A command with a ``connection`` is appended only while its session is bound to that one, and
    once: offered again it is under way already, or was refused.
    """

    takes: tuple[Take, ...] = ()
    slot: Slot | None = None
    message: ToShard | None = None
    connection: int | None = None


@attrs.frozen
class Verdict:
    """Done when ``retry_after_ms`` is 0; else nothing was taken and nothing sent.

    ``full``: the slot's stream is at its bound. ``stale``: a later connection has the session.
    """

    retry_after_ms: int = 0
    full: bool = False
    stale: bool = False


@attrs.frozen
class Delta:
    """One encoded ``chunk_delta``, as it was published."""

    chunk: ChunkId
    tick: Tick
    prev_tick: Tick
    data: bytes


@attrs.frozen
class Restored:
    """The subscription was lost and is back: anything may have been missed."""


Inbound = ToGateway | Delta | Restored
"""What a gateway hears."""


@attrs.frozen
class GatewayBeat:
    agents: int
    spectators: int


@attrs.frozen
class WorldCounts:
    """Summed over the beats of the last seconds; ``slots`` are those whose lease is held."""

    active_chunks: int
    agents_online: int
    spectators: int
    slots: frozenset[Slot]
    busiest: Mapping[ChunkId, int] = attrs.field(factory=dict)
    """The slots' ``busiest``, together."""


@attrs.frozen
class Binding:
    """``connection`` numbers a session's connections: the highest is the one that counts.

    ``under_way``: the commands that earlier ones offered and nobody has decided on, as far as
    Redis knows, and until when they can be accepted (Unix ms). No more of those can come.
    """

    connection: int
    under_way: Mapping[CommandId, int] = attrs.field(factory=dict)


# A shard's


@attrs.frozen
class Received:
    """``position`` orders the messages of a slot; ``message`` is None when it could not be read."""

    position: str
    message: ToShard | None


@attrs.frozen
class PublishedDelta:
    chunk: ChunkId
    epoch: Epoch
    tick: Tick
    prev_tick: Tick
    data: bytes


@attrs.frozen
class Refusal:
    """The offer at ``position`` is taken from the slot's stream, and ``line`` is told.

    Told only if it was still there and undecided. Not ``is_told``: nobody hears of it, and it may
    be offered again, for who takes it away does not know whether it was accepted before.
    """

    position: str
    line: AckLine
    is_told: bool = True


@attrs.frozen
class Forward:
    """``message`` goes to ``slot``; one that came to us is taken from our stream, at ``source``.

    It goes only if it was still there: so it is in one stream at a time, however often we say so.
    """

    slot: Slot
    message: ToShard
    source: str | None = None


@attrs.frozen
class Outgoing:
    """What one call publishes, in this order: deltas, lines, refusals, replies, forwards."""

    deltas: Sequence[PublishedDelta] = ()
    lines: Sequence[SessionLine] = ()
    """With a seq: kept, then sent to the gateway that serves the session."""
    refusals: Sequence[Refusal] = ()
    replies: Sequence[tuple[GatewayId, ToGateway]] = ()
    forwards: Sequence[Forward] = ()


@attrs.frozen
class RanOut:
    """Sessions whose presence ran out up to ``now_ms``, by the clock of Redis; of any slot."""

    now_ms: int
    sessions: Sequence[SessionId] = ()


def busiest_of(beats: Iterable[SlotBeat]) -> Mapping[ChunkId, int]:
    """Return what ``beats`` list. A chunk on its way to another slot is in both: either is true."""
    return {chunk: agents for beat in beats for chunk, agents in beat.busiest.items()}


def without_gap(deltas: Sequence[Delta], tick: Tick, last: Tick) -> Sequence[Delta] | None:
    """Return ``deltas`` if they are all that a replica at ``tick`` lacks, else None.

    ``deltas`` are those kept that are later than ``tick``; ``last`` is the last tick published,
    0 when that is not known. Each must name a prev_tick that the replica has reached by then.
    """
    reached = tick
    for delta in deltas:
        if delta.prev_tick > reached:
            return None
        reached = delta.tick
    return deltas if reached == last else None
