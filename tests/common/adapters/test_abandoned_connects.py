"""What asyncpg leaves behind when a connect is cancelled while its server goes away."""

from __future__ import annotations

import gc
import socket

import pytest
import trio
import trio_asyncio

from common.adapters.postgres import connect
from common.errors import Unavailable


async def abandon(error: Exception) -> None:
    """Tell ``error`` to a future that nobody waits for any more, in a loop that has connected."""
    async with trio_asyncio.open_loop() as loop:
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            with pytest.raises(Unavailable):
                await connect(f"postgresql://127.0.0.1:{nobody.getsockname()[1]}/world")
        loop.create_future().set_exception(error)
        gc.collect()
        await trio.sleep(0.01)


async def test_the_loss_of_a_connection_that_nobody_wants_ends_no_process() -> None:
    await abandon(ConnectionError("unexpected connection_lost() call"))


async def test_a_bug_that_nobody_waits_for_is_not_passed_over() -> None:
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        await abandon(ZeroDivisionError())
