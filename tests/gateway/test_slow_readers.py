"""Clients of the public port that take little, late or nothing: real sockets, time that jumps."""

from __future__ import annotations

import ctypes
import gc
import socket
import struct
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

import gateway.kernel
from common.limits import (
    FAREWELL_SECONDS_MAX,
    HEARTBEAT_SECONDS,
    LINGER_SECONDS,
    SEND_SECONDS_MAX,
    STILL_SECONDS_MAX,
    TICK_SECONDS,
    VANISHED_SECONDS_MAX,
)
from tests.gateway.conftest import CALM_SECONDS
from tests.gateway.sockets import Client, a_frame, a_port
from tests.gateway.stream.scripted import arrival, step

pytestmark = pytest.mark.slow


async def test_a_reader_that_never_reads_is_ended_and_costs_others_nothing(calm: MockClock) -> None:
    async with a_port() as port:
        stuck = await port.watch(receive_buffer=4096)
        other = await port.watch()
        for client in (stuck, other):
            await client.until("chunk_static")
        big = [arrival(f"agent-{number}") for number in range(300)]
        await port.scene.shard.say(1, *big)
        moves = [step(f"agent-{number}", x=5) for number in range(300)]
        began = trio.current_time()
        for tick in range(2, 302):
            await port.scene.shard.say(tick, *moves)
            await other.until(f"id: 1.{tick}.")
            other.got = b""
        waited = trio.current_time() - began  # The clock jumps a little when this machine is busy.
        assert waited < SEND_SECONDS_MAX / 2, "nobody waited for the one who does not read"
        await trio.sleep(STILL_SECONDS_MAX - waited - 2)
        assert port.spectators.count == 2
        await trio.sleep(waited + 4)
        assert port.spectators.count == 1
        assert await stuck.is_reset()


@pytest.mark.parametrize("reads_on", [True, False])
@pytest.mark.parametrize("path", ["/v1/spectate", "/v1/spectate/ws"])
async def test_a_reader_that_is_slow_is_resynced_twice_and_then_sent_away(
    calm: MockClock, path: str, reads_on: bool
) -> None:
    async with a_port() as port:
        slow = await port.websocket(f"{path}?chunks=0:0", receive_buffer=4096, upgrade="ws" in path)
        await slow.until("chunk_static")
        big = [arrival(f"agent-{number}") for number in range(100)]
        await port.scene.shard.say(1, *big)
        moves = [step(f"agent-{number}", x=5) for number in range(100)]
        tick = 1
        for times in range(3):
            for _ in range(400):
                tick += 1
                await port.scene.shard.say(tick, *moves)
                await trio.testing.wait_all_tasks_blocked()
            if times < 2:
                await slow.until(b'{"reason":"slow"')
                await slow.until(f"1.{tick}.0~0")
                slow.got = b""
        if reads_on:
            await trio.sleep(FAREWELL_SECONDS_MAX / 2)
            got = await slow.end()
            last = b"\x88\x0a" + (4008).to_bytes(2, "big") + b"too_slow"
            assert got.endswith(last if "ws" in path else b"\r\n0\r\n\r\n")
        else:
            await trio.sleep(FAREWELL_SECONDS_MAX + 2)
            assert await slow.is_reset()
        await trio.testing.wait_all_tasks_blocked()
        assert port.spectators.count == 0


@pytest.mark.parametrize("path", ["/v1/spectate", "/v1/spectate/ws"])
async def test_a_reader_of_a_small_view_that_is_too_slow_is_resynced_and_not_cut_off(
    calm: MockClock, path: str
) -> None:
    """Some KB a second come, one is read; a write of all that waits would take minutes."""
    async with a_port() as port:
        slow = await port.websocket(f"{path}?chunks=0:0", receive_buffer=4096, upgrade="ws" in path)
        await slow.until("chunk_static")
        names = [f"agent-{number}" for number in range(12)]
        await port.scene.shard.say(1, *map(arrival, names))
        began = trio.current_time()
        for tick in range(2, 1000):
            await port.scene.shard.say(tick, *[step(name, x=tick % 40) for name in names])
            await trio.testing.wait_all_tasks_blocked()
            if tick % 10 == 0:
                await trio.sleep(10 * TICK_SECONDS)
                slow.got += await slow.stream.receive_some(3000)
        assert trio.current_time() - began > 9 * SEND_SECONDS_MAX
        assert slow.got.count(b'{"reason":"slow"') >= 1
        assert port.spectators.count == 1


async def test_the_kernel_ends_vanished_peers_but_no_spectator_with_little_room(
    calm: MockClock,
) -> None:
    async with a_port() as port:
        watching, silent = await port.watch(), await port.client()
        await watching.until("chunk_static")
        assert _kernel_seconds(watching) == 0
        assert _kernel_seconds(silent) == VANISHED_SECONDS_MAX


def _kernel_seconds(client: Client) -> float:
    """How long the other end of ``client`` waits for acknowledgements, or for room; 0: as usual."""
    address = client.stream.socket.getsockname()
    for sock in gc.get_objects():
        if isinstance(sock, socket.socket):
            with suppress(OSError):
                if sock.getpeername() == address:
                    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) / 1000
    raise AssertionError("no connection of this client")


@pytest.mark.parametrize("path", ["/v1/spectate", "/v1/spectate/ws"])
async def test_a_spectator_that_vanished_is_noticed_though_little_is_said(
    calm: MockClock, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    # The kernel counts in real time. The clock makes ten jumps, of CALM_SECONDS, to a heartbeat.
    monkeypatch.setattr(gateway.kernel, "STILL_VANISHED_SECONDS_MAX", 100 * CALM_SECONDS)
    async with a_port() as port:
        clients = [
            await port.websocket(f"{path}?chunks=0:0", upgrade="ws" in path) for _ in range(2)
        ]
        for client in clients:
            await client.until("chunk_static")
        _vanish(clients[0])
        began = trio.current_time()
        while port.spectators.count == 2:
            assert trio.current_time() - began < 1000
            await trio.sleep(HEARTBEAT_SECONDS)
        await trio.sleep(3 * HEARTBEAT_SECONDS)
        assert port.spectators.count == 1
        await port.scene.shard.say(3, arrival())
        await clients[1].until("chunk_delta")


def _vanish(client: Client) -> None:
    """Let nothing that is sent to ``client`` arrive, not even in the kernel."""
    refuse_all = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))  # BPF: return 0
    program = struct.pack("HL", 1, ctypes.addressof(refuse_all))
    so_attach_filter = 26  # asm-generic/socket.h; Python's socket does not name it.
    client.stream.socket.setsockopt(socket.SOL_SOCKET, so_attach_filter, program)


async def test_a_slow_reader_that_answers_pings_late_still_reads_why_it_was_sent_away(
    calm: MockClock,
) -> None:
    """Who sends to a socket that is gone is reset, and what it had not read yet is lost."""
    async with a_port() as port:
        slow = await port.websocket("/v1/spectate/ws?chunks=0:0", receive_buffer=4096)
        await slow.until("chunk_static")
        names = [f"agent-{number}" for number in range(100)]
        await port.scene.shard.say(1, *map(arrival, names))
        tick = 1
        for times in range(3):
            for _ in range(400):
                tick += 1
                await port.scene.shard.say(tick, *[step(name, x=5) for name in names])
                await trio.testing.wait_all_tasks_blocked()
            while times < 2 and f'"1.{tick}.0~0'.encode() not in slow.got:
                slow.got = await slow.stream.receive_some()
        while port.spectators.count:  # Until all of it is the kernel's.
            slow.got += await slow.stream.receive_some(1000)
            await trio.sleep(0.1)
        for _ in range(4):
            await trio.sleep(LINGER_SECONDS)
            await slow.stream.send_all(a_frame(b"", opcode=10))
        assert (await slow.end()).endswith(b"\x88\x0a" + (4008).to_bytes(2, "big") + b"too_slow")


async def test_a_long_answer_may_take_long_as_long_as_some_of_it_is_taken(calm: MockClock) -> None:
    async with a_port() as port:
        client = await port.client(receive_buffer=4096)
        await client.send("GET /long HTTP/1.1")
        began = trio.current_time()
        while b"the end" not in client.got:
            client.got += await client.stream.receive_some(20_000)
            await trio.sleep(1)
        assert trio.current_time() - began > 2 * SEND_SECONDS_MAX
