"""All who watch the same chunks and have been told the same: what is new is encoded once for them.

It writes to no connection: ``gateway.stream.fanout`` does. Its members have no feed, no marks and
no queue of their own; what they were told is the audience's ``position``. At most
SPECTATOR_QUEUE_MAX blocks wait to be written; the policy beyond: all members are sent away and
come back with their ids, since it is we who can't keep up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import attrs

from common.grid import ChunkId
from common.limits import SPECTATOR_QUEUE_MAX
from gateway.metrics import SPECTATOR_RESYNCS
from gateway.plain import in_chunk
from gateway.stream.feeds import FeedDelta, Feeds, Static
from gateway.stream.pens import COMMENT, as_event
from gateway.stream.position import Position
from gateway.stream.reader import Ending, Reader
from gateway.stream.telling import Telling

GONE = math.inf


@attrs.frozen(eq=False)
class Block:
    """What is written at once: the ``n``-th thing that an audience was told, as it goes out."""

    n: int
    data: bytes
    events: int
    """0: a comment."""
    position: Position
    """How far somebody has been told who was told this."""


class Member(Protocol):
    """One plain connection that was told everything up to its audience's ``since``-th block."""

    send: Callable[[bytes], int]
    """See ``gateway.plain``."""
    since: float
    """GONE when it is none of ours any more: it may leave in the middle of a round."""
    behind: Reader[Block] | None
    """Where blocks wait for it, if its socket is full."""

    def fall_behind(self, position: Position, rest: bytes) -> None:
        """Its socket took all but ``rest`` of what brings it to ``position``."""

    def lose(self) -> None:
        """Its client has gone."""

    def end(self, ending: Ending) -> None: ...

    @property
    def has_vanished(self) -> bool: ...

    def give_up(self) -> None: ...


@attrs.define(eq=False)
class Audience:
    """A listener of all ``chunks``. ``told`` is called once there is something to be taken."""

    chunks: tuple[ChunkId, ...]
    _telling: Telling
    _feeds: Feeds
    _told: Callable[[Audience], None]
    beat_at: float
    """When the next comment is due: for whoever it is due first."""
    members: dict[Member, None] = attrs.field(factory=dict, init=False)
    _count: int = attrs.field(default=0, init=False)
    _blocks: list[Block] = attrs.field(factory=list, init=False)
    """To be written; they are taken together."""

    def open(self) -> None:
        for chunk in self.chunks:
            self._feeds.follow(chunk, self)

    def close(self) -> None:
        for chunk in self.chunks:
            self._feeds.leave(chunk, self)

    @property
    def position(self) -> Position:
        return self._telling.position

    def join(self, member: Member, beat_at: float) -> None:
        """From now on; ``member`` has been told everything up to ``position``."""
        member.since = self._count
        self.members[member] = None
        self.beat_at = min(self.beat_at, beat_at)

    def leave(self, member: Member) -> None:
        self.members.pop(member, None)
        member.since = GONE

    def hear(self, item: Static | FeedDelta) -> None:
        lines = self._telling.tell_on(item)
        if isinstance(item, Static) and self.members:  # The telling counted one.
            SPECTATOR_RESYNCS.labels("out_of_range").inc(len(self.members) - 1)
        if lines:
            self._tell(b"".join(map(as_event, lines)), len(lines))

    def beat(self, next_at: float) -> None:
        self.beat_at = next_at
        self._tell(COMMENT, 0)

    def take(self) -> Sequence[Block]:
        """Return what is to be written, for all who came before it was said."""
        blocks, self._blocks = self._blocks, []
        return blocks

    def _tell(self, data: bytes, events: int) -> None:
        self._count += 1
        self._blocks.append(Block(self._count, in_chunk(data), events, self.position))
        if len(self._blocks) == 1:
            self._told(self)
        elif len(self._blocks) > SPECTATOR_QUEUE_MAX:
            self._blocks.clear()
            for member in tuple(self.members):
                member.end(Ending.OVERLOADED)
