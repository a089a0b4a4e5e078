"""One agent under test: it walks, waits, cancels and crosses borders, and talks all the while.

What it does is drawn from the seed; when, depends on the machine. It goes on through every fault
until it is told to stop, then lets what it began end. Its ledger hears what it is told.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence

import attrs
import httpx
import trio

from common.grid import CHUNK_SIZE, Cell
from ops.chaos.findings import Findings
from ops.chaos.ledger import Ledger
from ops.client import Agent, Failed, Refused, Rejected, SessionOver, StreamBroken, connect

HOME_CHUNKS = 1  # Goals stay this near to the first chunk: borders enough, and witnesses see all.
STEPS_MAX = 4  # Most walks are short, so that there are many commands.
FAR_STEPS_MAX = 30  # Some lead over a border or two.
PAUSE_SECONDS = 0.3  # After a refusal: about what somebody who wants it done waits.
CANCEL_SECONDS = (0.0, 1.5)
WALKING_SHARE = 0.3  # Of all commands; the others are said,
SAYINGS_MAX = 4  # so many at a time: it keeps its pace, and an outage makes no flood.
STAY_SECONDS = 30.0  # With one gateway, on average; then it resumes at another.


@attrs.define
class Player:
    ledger: Ledger
    findings: Findings
    chance: random.Random
    rate: float
    """Commands a second, when nothing is in the way."""
    stay_seconds: float = STAY_SECONDS
    cut_off: int = 0
    """Times that it was served again after it had cut its connection off."""
    agent: Agent | None = None
    is_done: bool = False
    """Nothing of it is in flight any more, and it begins nothing."""
    _sayings: int = 0

    @property
    def name(self) -> str:
        return self.ledger.name

    async def run(
        self,
        urls: Sequence[str],
        stop: trio.Event,
        leave: trio.Event,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Play from when it is in the world until ``stop``; stand there until ``leave``."""
        try:
            async with connect(urls, self.name, tap=self.ledger) as agent:
                self.agent = agent
                task_status.started()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._go_on, self._walk, WALKING_SHARE, stop)
                    for _ in range(SAYINGS_MAX):
                        share = (1 - WALKING_SHARE) / SAYINGS_MAX
                        nursery.start_soon(self._go_on, self._talk, share, stop)
                    nursery.start_soon(self._change_gateways, agent, stop)
                await self._end(agent)
                self.is_done = True
                await leave.wait()
        except (SessionOver, StreamBroken, Refused, httpx.TransportError) as error:
            details = f"{type(error).__name__}: {error}"
            subject = f"{self.name} {self.ledger.session}"
            self.findings.add("an agent can stay", subject, details, self.ledger.now())

    async def _end(self, agent: Agent) -> None:
        """Have one more command carried out: also who was hit last is to be served again."""
        while True:
            try:
                await agent.wait(1)
            except Failed:
                return
            except Rejected:
                await trio.sleep(PAUSE_SECONDS)
            else:
                return

    async def _go_on(
        self, act: Callable[[Agent], Awaitable[object]], share: float, stop: trio.Event
    ) -> None:
        assert self.agent is not None
        while not stop.is_set():
            due = trio.current_time() + self.chance.expovariate(self.rate * share)
            try:
                await act(self.agent)
            except Failed:
                pass  # The ledger has heard it.
            except Rejected:
                await trio.sleep(PAUSE_SECONDS)
            with trio.move_on_at(due):
                await stop.wait()

    async def _change_gateways(self, agent: Agent, stop: trio.Event) -> None:
        served = self.ledger.resumed
        while not stop.is_set():
            with trio.move_on_after(self.chance.expovariate(1 / self.stay_seconds)) as stay:
                await stop.wait()
            if stay.cancelled_caught:
                self.cut_off += self.ledger.resumed > served
                served = self.ledger.resumed
                agent.drop()

    async def _talk(self, agent: Agent) -> None:
        self._sayings += 1
        await agent.say(f"{self.name} {self._sayings}")

    async def _walk(self, agent: Agent) -> None:
        habit = self.chance.random()
        if habit < 0.35:
            await agent.wait(self.chance.randint(1, 2))
        elif habit < 0.75:
            await agent.move_to(*self._goal(agent, STEPS_MAX))
        elif habit < 0.88:
            await agent.move_to(*self._goal(agent, FAR_STEPS_MAX))
        else:
            with trio.move_on_after(self.chance.uniform(*CANCEL_SECONDS)):
                await agent.move_to(*self._goal(agent, FAR_STEPS_MAX))

    def _goal(self, agent: Agent, steps: int) -> tuple[int, int]:
        """A cell not far away, floor if that can be seen from here."""
        low, high = -HOME_CHUNKS * CHUNK_SIZE, (HOME_CHUNKS + 1) * CHUNK_SIZE - 1
        goal = Cell(agent.position.x, agent.position.y)
        for _ in range(10):
            x = agent.position.x + self.chance.randint(-steps, steps)
            y = agent.position.y + self.chance.randint(-steps, steps)
            goal = Cell(min(max(x, low), high), min(max(y, low), high))
            if _may_be_floor(agent, goal):
                break
        return goal.x, goal.y


def _may_be_floor(agent: Agent, goal: Cell) -> bool:
    if agent.view is None or agent.view.static.chunk != goal.chunk:
        return True
    return agent.view.static.terrain[goal.y % CHUNK_SIZE][goal.x % CHUNK_SIZE] == "."
