"""Agents who act and spectators who watch, through the load balancer and nothing else.

They are those of ``tessera chaos``: each holds the world to its promises while it is told things,
and what was broken is in ``findings``.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import attrs
import trio

from common.grid import SessionId, chunk_id
from ops.chaos.chronicle import Chronicle
from ops.chaos.findings import Findings
from ops.chaos.ledger import Ledger
from ops.chaos.player import Player
from ops.chaos.run import SEEN_CHUNKS, Clock, settle
from ops.chaos.witness import Witness

AGENTS = 12
WITNESSES = 2
RATE = 20.0  # Commands a second, of all together: it is about what happens, not how much.
GOES_ON_SECONDS_MAX = 40.0  # A lost container is noticed, replaced, and loads what it had.
T = TypeVar("T")


@attrs.define
class Crowd:
    players: list[Player]
    witnesses: list[Witness]
    findings: Findings
    clock: Clock
    longest: float = 0.0
    """Between two results of the same agent, in seconds."""
    usual: float = 0.0
    """``longest`` before anything happened."""
    _last: dict[str, float] = attrs.field(factory=dict)

    def ended(self, who: str) -> None:
        now = self.clock.now()
        self.longest = max(self.longest, now - self._last.get(who, now))
        self._last[who] = now

    async def go_on_through(self, what: str, do: Callable[..., object], *words: object) -> None:
        """Go on while an operator does ``what``; say what the runbook says of it."""
        self.longest = 0.0
        await timed(what, do, *words)
        await self.see_it_go_on()
        say(f"longest without a result {self.longest:.1f} s, before {self.usual:.1f} s")

    async def see_it_go_on(self) -> float:
        """Return after how many seconds each agent has done something that it began after now."""
        began = self.clock.now()
        before = {player.name: _done(player) for player in self.players}
        waiting = list(self.players)
        while waiting := [each for each in waiting if _done(each) <= before[each.name] + 2]:
            took = self.clock.now() - began
            assert took < GOES_ON_SECONDS_MAX, [_state(player) for player in waiting]
            await trio.sleep(0.1)
        return self.clock.now() - began


def _state(player: Player) -> str:
    """What there is to know of one that does not go on."""
    entries = player.ledger.sessions.get(player.ledger.session or SessionId(""), {})
    open_now = [
        f"{id} {entry.command} of {entry.at:.1f}, {'accepted' if entry.ack else 'no ack'}"
        for id, entry in entries.items()
        if not entry.is_over
    ]
    return f"{player.name} {player.ledger.session} resumed {player.ledger.resumed}: {open_now}"


def _done(player: Player) -> int:
    return sum(
        entry.is_over for session in player.ledger.sessions.values() for entry in session.values()
    )


def _tell(crowd: Crowd, who: str, _sent_at: float) -> None:
    crowd.ended(who)


@asynccontextmanager
async def a_crowd(url: str, name: str) -> AsyncIterator[Crowd]:
    """In the world at ``url`` until the block ends; then what it began must end, too."""
    findings, clock = Findings(), Clock()
    chronicle = Chronicle(findings, clock.now)
    around = range(-SEEN_CHUNKS, SEEN_CHUNKS + 1)
    chunks = [chunk_id(cx, cy) for cy in around for cx in around]
    crowd = Crowd(
        [
            Player(
                Ledger(f"{name}-{n}", findings, clock.now),
                findings,
                random.Random(f"player {name} {n}"),
                RATE / AGENTS,
            )
            for n in range(AGENTS)
        ],
        [Witness(f"witness-{n}", [url], chunks, chronicle, findings) for n in range(WITNESSES)],
        findings,
        clock,
    )
    for player in crowd.players:
        player.ledger.ended = partial(_tell, crowd, player.name)
    clock.start()
    stop, leave = trio.Event(), trio.Event()
    async with trio.open_nursery() as stage:
        for witness in crowd.witnesses:
            stage.start_soon(witness.run, random.Random(witness.name))
        for player in crowd.players:
            await stage.start(player.run, [url], stop, leave)
        await crowd.see_it_go_on()
        crowd.usual = crowd.longest
        yield crowd
        await crowd.see_it_go_on()
        stop.set()
        await settle(crowd.players, findings)
        leave.set()
        stage.cancel_scope.cancel()
    assert findings.violations == []


async def meanwhile(do: Callable[..., T], *arguments: object) -> T:
    """What an operator does takes seconds; the crowd goes on."""
    return await trio.to_thread.run_sync(partial(do, *arguments))


async def timed(what: str, do: Callable[..., object], *words: object) -> None:
    began = trio.current_time()
    await meanwhile(do, *words)
    say(f"{what}: took {trio.current_time() - began:.1f} s")


def say(text: str) -> None:
    """For `make test-compose ARGS=-s`: the runbook's figures."""
    print(f"\n{text}")  # noqa: T201 - pytest keeps it from everybody who does not ask.
