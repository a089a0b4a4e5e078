"""Commands for a shard at an even pace, as a gateway would send them; and what became of them.

It is the gateway here: it offers what a session has proven, hears acks and results, and keeps
sessions present. So a shard is measured without a gateway's own cost beside it.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from contextlib import suppress

import attrs
import trio

from common.adapters.beside import beside
from common.adapters.clock import SystemClock
from common.adapters.redis_gateway_bus import RedisGatewayBus
from common.bus import Inbound, Offer
from common.commands import Command, MoveTo, Say
from common.envelopes import AckLine, CommandOffered, ResultLine
from common.errors import Trouble
from common.grid import AgentId, ChunkId, CommandId, GatewayId, SessionId, Slot
from common.limits import COMMAND_MS_MAX, PRESENCE_BEAT_SECONDS
from ops.bench.rig import Site
from shard.world.state import Chunk
from shard.world.terrain import Spot, terrain_of

GATEWAY = GatewayId("bench")
ELSEWHERE = GatewayId("elsewhere")  # Serves those who command nothing.
PACE_SECONDS = 0.02  # Four commands at a time at 200 a second: about what arrives together.
BINDING_AT_A_TIME = 16
REST_SECONDS = 1.0  # After the last command, for acks that are on their way.


@attrs.define
class Commander:
    """One agent that is told what to do, and whether it still does it."""

    agent: AgentId
    session: SessionId
    chunk: ChunkId
    goals: Sequence[Spot]
    walking: CommandId | None = None


@attrs.define(eq=False)
class Commanders:
    site: Site
    commanders: Sequence[Commander]
    present: Sequence[SessionId]
    """All sessions of the world: else their agents would leave it."""
    sent: int = 0
    accepted: int = 0
    refused: int = 0
    finished: int = 0
    waits_ms: list[float] = attrs.field(factory=list)
    """From the offer to the ack, each."""
    _bound: dict[SessionId, int] = attrs.field(factory=dict)
    _asked: dict[tuple[SessionId, CommandId], float] = attrs.field(factory=dict)
    # The same commands in each run; nothing secret.
    _chance: random.Random = attrs.field(factory=lambda: random.Random(1))  # noqa: S311

    async def run(self, rate: float, seconds: float) -> None:
        """Send ``rate`` commands a second for ``seconds``, and hear what they lead to."""
        bus = RedisGatewayBus(self.site.redis)
        async with bus.inbound(GATEWAY) as heard, trio.open_nursery() as nursery:
            nursery.start_soon(self._hear, heard)
            await self._bind(bus)
            async with beside(lambda: self._stay(bus)):
                await self._send(bus, rate, seconds)
                await trio.sleep(REST_SECONDS)
            nursery.cancel_scope.cancel()

    async def _bind(self, bus: RedisGatewayBus) -> None:
        seats = trio.CapacityLimiter(BINDING_AT_A_TIME)

        async def bind(session: SessionId) -> None:
            async with seats:
                self._bound[session] = (await bus.bind(session, GATEWAY)).connection

        async with trio.open_nursery() as nursery:
            for commander in self.commanders:
                nursery.start_soon(bind, commander.session)

    async def _stay(self, bus: RedisGatewayBus) -> None:
        while True:
            with suppress(Trouble):  # Next time; presence lasts for several of these.
                await bus.refresh(GATEWAY, tuple(self._bound.items()))
                others = [session for session in self.present if session not in self._bound]
                await bus.refresh(ELSEWHERE, [(session, 1) for session in others])
            await trio.sleep(PRESENCE_BEAT_SECONDS)

    async def _send(self, bus: RedisGatewayBus, rate: float, seconds: float) -> None:
        began = trio.current_time()
        turns = itertools.cycle(enumerate(self.commanders))
        numbers = itertools.count(2)  # Their first walk is number one.
        while (passed := trio.current_time() - began) < seconds:
            due = int(passed * rate) - self.sent
            if due > 0:
                offers = [self._offer(*next(turns), next(numbers)) for _ in range(due)]
                await bus.offer(offers)
                self.sent += due
            await trio.sleep(PACE_SECONDS)

    def _offer(self, place: int, commander: Commander, number: int) -> Offer:
        id = CommandId(f"c-{number}")
        command: Command = Say("walking by")
        if number // len(self.commanders) % 2 == place % 2 and commander.walking is None:
            command = MoveTo(*self._chance.choice(commander.goals))
            commander.walking = id
        self._asked[commander.session, id] = trio.current_time()
        message = CommandOffered(
            commander.session,
            commander.agent,
            id,
            command,
            commander.chunk,
            GATEWAY,
            SystemClock().now_ms() + COMMAND_MS_MAX,
        )
        return Offer(slot=Slot(0), message=message)

    async def _hear(self, heard: trio.MemoryReceiveChannel[Inbound]) -> None:
        by_session = {one.session: one for one in self.commanders}
        async for told in heard:
            match told:
                case AckLine(session=session, id=id, code=code):
                    asked = self._asked.pop((session, id), None)
                    if asked is not None:
                        self.waits_ms.append((trio.current_time() - asked) * 1000)
                    self.accepted += code is None
                    self.refused += code is not None
                    if code is not None and by_session[session].walking == id:
                        by_session[session].walking = None
                case ResultLine(session=session, id=id):
                    self.finished += 1
                    if by_session[session].walking == id:
                        by_session[session].walking = None
                case _:
                    pass


def commanders_of(chunks: Sequence[Chunk], each: int) -> list[Commander]:
    """Return the last ``each`` agents of every chunk; their goals are all over its floor."""
    found = []
    for chunk in chunks:
        floor = terrain_of(chunk.seed, chunk.id, chunk.generation).floor()
        goals = floor[:: max(1, len(floor) // 50)]
        found += [
            Commander(agent.id, agent.session, chunk.id, goals)
            for agent in list(chunk.agents.values())[-each:]
        ]
    return found
