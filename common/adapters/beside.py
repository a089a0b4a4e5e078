"""A task that lives as long as an ``async with`` block, and does not show in its errors.

For adapters that need a task of their own behind a context manager. The nursery stays in the
block; what the block raises leaves it as it was, not in a group.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def beside(task: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """Run ``task`` while the block runs, then cancel it. If it fails, the block is cancelled."""
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(task)
            yield
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise
