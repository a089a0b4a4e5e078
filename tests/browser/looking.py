"""What several tests of the viewer do with a page, and an agent that does what they want."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from uuid import uuid4

import attrs
import trio
from playwright.sync_api import Page, expect

from ops.client import Agent, Failed, Rejected, connect

LIVE_MS_MAX = 15_000
START_SECONDS_MAX = 20.0


def wait_until_live(page: Page) -> None:
    expect(page.locator("#state")).to_have_text("live", timeout=LIVE_MS_MAX)


def look_at(page: Page, url: str) -> None:
    """Open the viewer at ``url`` and wait until it shows all that it watches."""
    page.goto(url)
    wait_until_live(page)
    page.wait_for_function("tessera.world.chunks.size >= 9", timeout=LIVE_MS_MAX)


def frames_per_second(page: Page) -> float:
    pace: float = page.evaluate(
        """async () => {
            const [frames, since] = [tessera.frames(), performance.now()];
            await new Promise((done) => setTimeout(done, 1000));
            return (tessera.frames() - frames) * 1000 / (performance.now() - since);
        }"""
    )
    return pace


Wish = tuple[int, int] | str | None
"""Where to go, what to say; None: that was all."""


@attrs.frozen
class Walker:
    """An agent of ours, driven from a thread of its own: Playwright has this one."""

    agent_id: str
    name: str
    _do: Callable[[Wish], None]

    def walk(self, x: int, y: int) -> None:
        """Set out for a floor cell near (x, y)."""
        self._do((x, y))

    def say(self, text: str) -> None:
        self._do(text)


@contextmanager
def walker(url: str) -> Iterator[Walker]:
    wishes: queue.Queue[Wish] = queue.Queue()
    ready: queue.Queue[Agent] = queue.Queue()
    name = f"walker-{uuid4().hex[:8]}"
    thread = threading.Thread(target=partial(trio.run, _live, url, name, wishes, ready))
    thread.start()
    try:
        yield Walker(ready.get(timeout=START_SECONDS_MAX).id, name, wishes.put)
    finally:
        wishes.put(None)
        thread.join(START_SECONDS_MAX)


async def _live(
    url: str,
    name: str,
    wishes: queue.Queue[Wish],
    ready: queue.Queue[Agent],
) -> None:
    async with connect(url, name) as agent, trio.open_nursery() as nursery:
        ready.put(agent)
        while (wish := await trio.to_thread.run_sync(wishes.get)) is not None:
            if isinstance(wish, str):
                nursery.start_soon(agent.say, wish)
            else:
                nursery.start_soon(_walk, agent, *wish)
        nursery.cancel_scope.cancel()


async def _walk(agent: Agent, x: int, y: int) -> None:
    """To (x, y), or to a cell near it that is floor and can be reached."""
    for offset in range(12):
        with suppress(Rejected, Failed):
            await agent.move_to(x + offset % 4, y + offset // 4)
            return
