"""The fan-out: what audiences are told goes to the sockets of their members, by one task.

A block costs each member one ``send`` that does not wait, and no task is woken. A socket that has
no room puts its member behind: then blocks wait in a queue, for a task of that member alone, and
nobody else notices. Everybody gets every block after ``since``, once, and in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NoReturn

import attrs
import trio

from common.grid import ChunkId
from common.limits import FAN_OUT_SENDS, HEARTBEAT_SECONDS, SWEEP_SECONDS
from gateway.metrics import SPECTATOR_EVENTS
from gateway.stream.audience import GONE, Audience, Block, Member
from gateway.stream.backlog import Backlog
from gateway.stream.feeds import Feeds
from gateway.stream.position import Position
from gateway.stream.telling import Telling


@attrs.define(eq=False)
class FanOut:
    """``run`` must be running for anything to be written."""

    _feeds: Feeds
    _backlog: Backlog
    _audiences: dict[tuple[ChunkId, ...], Audience] = attrs.field(factory=dict, init=False)
    _told: deque[Audience] = attrs.field(factory=deque, init=False)
    """Those that have something to be taken."""
    _woken: trio.Event = attrs.field(factory=trio.Event, init=False)
    _joined: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __len__(self) -> int:
        return len(self._audiences)

    def members(self) -> Sequence[Member]:
        return [member for audience in self._audiences.values() for member in audience.members]

    async def run(self) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._beat)
            await self._write()

    def join(
        self, member: Member, chunks: tuple[ChunkId, ...], position: Position, beat_at: float
    ) -> Audience | None:
        """Let ``member``, who was told all up to ``position``, hear on with others from now on.

        None: those who watch the same are not as far, or farther; in a tick they may be.
        """
        audience = self._audiences.get(chunks)
        if audience is None:
            telling = Telling.going_on(chunks, self._backlog, position)
            audience = Audience(chunks, telling, self._feeds, self._note, beat_at)
            self._audiences[chunks] = audience
            self._joined.set()
            audience.open()
        elif audience.position != position:
            return None
        audience.join(member, beat_at)
        return audience

    def leave(self, member: Member, audience: Audience) -> None:
        audience.leave(member)
        if not audience.members and self._audiences.get(audience.chunks) is audience:
            del self._audiences[audience.chunks]
            audience.close()

    def _note(self, audience: Audience) -> None:
        self._told.append(audience)
        self._woken.set()

    async def _write(self) -> NoReturn:
        sends = 0
        while True:
            while self._told:
                audience = self._told.popleft()
                blocks = audience.take()
                members = tuple(audience.members)
                for start in range(0, len(members), FAN_OUT_SENDS):
                    some = members[start : start + FAN_OUT_SENDS]
                    write(some, blocks)
                    sends += len(some)
                    if sends >= FAN_OUT_SENDS:  # Agents and calls have their turn in between.
                        await trio.lowlevel.checkpoint()
                        sends = 0
            self._woken = trio.Event()
            await self._woken.wait()
            sends = 0

    async def _beat(self) -> NoReturn:
        while True:
            if not self._audiences:
                self._joined = trio.Event()
                await self._joined.wait()
            await trio.sleep(SWEEP_SECONDS)
            now = trio.current_time()
            for audience in tuple(self._audiences.values()):
                if audience.beat_at <= now:
                    audience.beat(now + HEARTBEAT_SECONDS)


def write(members: Sequence[Member], blocks: Sequence[Block]) -> None:
    """Give ``blocks`` to each of ``members`` who came before them. It neither waits nor raises."""
    if not blocks:
        return  # They were taken back.
    first, position = blocks[0].n, blocks[-1].position
    data = b"".join([block.data for block in blocks])
    size, written = len(data), 0
    for member in members:
        if member.since >= first:
            _write_late(member, blocks)
        elif member.behind is not None:
            for block in blocks:
                if block.events:  # Its own task sees to comments: the bound is for events.
                    member.behind.hear(block)
        else:
            try:
                sent = member.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                member.lose()
                continue
            written += 1
            if sent != size:
                member.fall_behind(position, data[sent:])
    SPECTATOR_EVENTS.inc(written * sum(block.events for block in blocks))
    if any(not block.events for block in blocks):
        _end_vanished(members)


def _write_late(member: Member, blocks: Sequence[Block]) -> None:
    """For one who came in the middle of ``blocks``, after them, or has gone."""
    if member.since < blocks[-1].n:
        write([member], [block for block in blocks if block.n > member.since])


def _end_vanished(members: Sequence[Member]) -> None:
    for member in members:
        if member.since != GONE and member.has_vanished:
            member.give_up()
