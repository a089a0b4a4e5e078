"""Sockets that nobody reads from, and what their clients do: a real kernel, time that jumps."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
import trio
from trio.testing import MockClock

from common.limits import SWEEP_SECONDS
from gateway.lookout import Lookout


@contextmanager
def a_pair() -> Iterator[tuple[socket.socket, trio.SocketStream]]:
    """Ours, and the client's, which has little room."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.socket()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        theirs.connect(listener.getsockname())
        ours, _ = listener.accept()
    ours.setblocking(False)
    theirs.setblocking(False)
    with theirs:
        yield ours, trio.SocketStream(trio.socket.from_stdlib_socket(theirs))


def _must_not_be_called() -> None:
    raise AssertionError("it was to be forgotten")


@asynccontextmanager
async def a_lookout() -> AsyncIterator[Lookout]:
    lookout = Lookout()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lookout.run)
        yield lookout
        nursery.cancel_scope.cancel()


async def test_it_tells_who_has_gone_and_whom_it_was_told_to_forget_it_does_not(
    calm: MockClock,
) -> None:
    with a_pair() as (one, client), a_pair() as (other, forgotten), one, other:
        async with a_lookout() as lookout:
            gone = trio.Event()
            lookout.watch(one, gone.set)
            lookout.watch(other, _must_not_be_called)
            lookout.forget(other)
            lookout.forget(other)
            await forgotten.send_eof()
            await client.send_all(b"hello")
            await trio.sleep(1)
            assert not gone.is_set()
            await client.aclose()
            await gone.wait()
            lookout.forget(one)


@pytest.mark.parametrize("hangs_up", [True, False])
async def test_who_is_seen_off_gets_all_that_was_written_whatever_it_said_itself(
    calm: MockClock, hangs_up: bool
) -> None:
    """To close on unread bytes is a reset, and throws away what is still on its way."""
    with a_pair() as (ours, client):
        async with a_lookout() as lookout:
            sent = ours.send(b"x" * 200_000)
            ours.shutdown(socket.SHUT_WR)
            lookout.see_off(ours, 10)
            await client.send_all(b"hello" * 1000)
            if hangs_up:
                await client.send_eof()
            await lookout.wait_idle()
            assert ours.fileno() == -1
            got = 0
            async for data in client:
                got += len(data)
            assert got == sent


@pytest.mark.parametrize("nobody_for_seconds", [0, 5])
async def test_who_does_not_hang_up_is_hung_up_on_in_time(
    calm: MockClock, nobody_for_seconds: float
) -> None:
    with a_pair() as (ours, _):
        async with a_lookout() as lookout:
            await trio.sleep(nobody_for_seconds)
            began = trio.current_time()
            lookout.see_off(ours, 10)
            with trio.fail_after(60):
                await lookout.wait_idle()
            assert 10 <= trio.current_time() - began <= 10 + 2 * SWEEP_SECONDS


async def test_who_is_still_being_seen_off_at_the_end_is_closed(calm: MockClock) -> None:
    with a_pair() as (ours, _):
        async with a_lookout() as lookout:
            lookout.see_off(ours, 10)
            await trio.lowlevel.checkpoint()
        assert ours.fileno() == -1
