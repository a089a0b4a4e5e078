"""The values that go through Redis beside the messages of ``common.envelopes``.

Pure. The ports of gateway and shard speak in these, and both kinds of adapters do.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from common.envelopes import SessionLine, ToGateway, ToShard
from common.grid import ChunkId, Epoch, GatewayId, SessionId, Slot, Tick

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
    """Take all ``takes`` or none; if that went well, append ``message`` to the slot's stream."""

    takes: tuple[Take, ...] = ()
    slot: Slot | None = None
    message: ToShard | None = None


@attrs.frozen
class Verdict:
    """Done when ``retry_after_ms`` is 0; else nothing was taken and nothing sent.

    ``full``: the slot's stream is at its bound.
    """

    retry_after_ms: int = 0
    full: bool = False


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


@attrs.frozen
class Binding:
    """``connection`` numbers a session's connections: the highest is the one that counts."""

    connection: int


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
class Outgoing:
    """What one call publishes, in this order: deltas, lines, replies, forwards."""

    deltas: Sequence[PublishedDelta] = ()
    lines: Sequence[SessionLine] = ()
    """To the gateway that serves the session; those with a seq are kept first."""
    replies: Sequence[tuple[GatewayId, ToGateway]] = ()
    forwards: Sequence[tuple[Slot, ToShard]] = ()
    refused: Sequence[tuple[Slot, str]] = ()
    """Positions of messages whose refusals are among the lines: with these told they are gone from
    their slot's stream, or whoever reads it after us could accept what was refused."""


@attrs.frozen
class RanOut:
    """Sessions whose presence ran out up to ``now_ms``, by the clock of Redis; of any slot."""

    now_ms: int
    sessions: Sequence[SessionId] = ()


@attrs.frozen
class SlotBeat:
    """How a slot is doing; ``lateness_ms`` is the p99 of the last seconds' ticks."""

    holder: str
    chunks: int
    agents: int
    lateness_ms: float


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
