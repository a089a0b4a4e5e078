"""Members of audiences, over sockets that take what a script says, and a shard that says it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio
from hypercorn.config import Config
from typing_extensions import Buffer

from common.grid import ChunkId
from common.limits import STILL_SECONDS_MAX
from gateway.lookout import Lookout
from gateway.plain import PlainAnswer, PlainConnection
from gateway.stream.backlog import Backlog
from gateway.stream.fanout import FanOut
from gateway.stream.member import House, Member
from gateway.stream.pens import EventStream
from gateway.stream.view import View
from tests.gateway.stream.scripted import HERE, Scene, a_scene, soon
from tests.gateway.stream.witness import Witness


class Scripted(PlainConnection):
    """``room``: how many bytes it still takes; None: any number."""

    def __attrs_post_init__(self) -> None:
        self.got = bytearray()
        self.room: int | None = None
        self.sends = 0
        self.seen_off = self.aborted = self.vanished = self.broken = False
        self._has_room = trio.Event()
        self.send = self._take

    def _take(self, buffer: Buffer) -> int:
        data = memoryview(buffer)
        self.sends += 1
        if self.broken:
            raise BrokenPipeError
        taken = len(data) if self.room is None else min(self.room, len(data))
        if not taken:
            raise BlockingIOError
        if self.room is not None:
            self.room -= taken
        self.got += data[:taken]
        return taken

    def have_room(self, room: int | None) -> None:
        self.room = room
        self._has_room.set()

    async def _wait_room(self) -> None:
        with trio.fail_after(STILL_SECONDS_MAX):
            self._has_room = trio.Event()
            await self._has_room.wait()

    def watch(self, gone: object) -> None:
        pass

    @property
    def has_vanished(self) -> bool:
        return self.vanished

    def close(self) -> None:
        self.is_open = False

    def abort(self) -> None:
        self.aborted = self.aborted or self.is_open
        self.is_open = False

    def see_off(self, seconds: float) -> None:
        self.seen_off = self.seen_off or self.is_open
        self.is_open = False


@attrs.define(eq=False)
class Client:
    """A member, and the other end of its connection."""

    member: Member
    socket: Scripted
    chunks: tuple[ChunkId, ...]
    ended: trio.Event

    @property
    def seen(self) -> Witness:
        witness = Witness(self.chunks)
        witness.read(bytes(self.socket.got))
        return witness

    @property
    def is_direct(self) -> bool:
        return self.member._task is None and not self.ended.is_set()


def watch(house: House, view: View, room: int | None = None) -> Client:
    """A new member of ``house``, whose socket takes ``room`` bytes at first."""
    ended = trio.Event()
    sock = Scripted(socket.socket.__new__(socket.socket), Lookout())
    sock.room = room
    pen = EventStream(PlainAnswer(sock, Config()).send, "trace")
    member = Member(house, view.chunks, sock, pen, ended.set)
    member.start(view)
    return Client(member, sock, view.chunks, ended)


@attrs.frozen
class Hall:
    scene: Scene
    house: House

    def watch(self, *chunks: ChunkId, view: View | None = None) -> Client:
        return watch(self.house, view or View(chunks))

    async def say(self, *ticks: int, chunk: ChunkId = HERE) -> None:
        for tick in ticks:
            await self.scene.shard.say(tick, chunk=chunk)
        await soon()


@asynccontextmanager
async def a_hall() -> AsyncIterator[Hall]:
    async with a_scene() as scene, trio.open_nursery() as nursery:
        backlog = Backlog(scene.bus)
        fan_out = FanOut(scene.feeds, backlog)
        house = House(scene.feeds, backlog, fan_out, nursery, set(), trio.Event())
        nursery.start_soon(fan_out.run)
        try:
            yield Hall(scene, house)
        finally:
            nursery.cancel_scope.cancel()
            for member in fan_out.members():
                member.lose()
