"""A task that lives as long as an ``async with`` block, and does not show in its errors.

For what needs a task of its own behind a context manager. The nursery stays in the block; what
the block raises leaves it as it was, not in a group.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio


@asynccontextmanager
async def beside(task: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """Run ``task`` while the block runs, then cancel it. If it fails, the block is cancelled."""
    with ungrouped():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(task)
            yield
            nursery.cancel_scope.cancel()


@contextmanager
def ungrouped() -> Iterator[None]:
    """Raise an exception that is alone in its group, as it was before the nursery."""
    try:
        yield
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise
