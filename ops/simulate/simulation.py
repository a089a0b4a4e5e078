"""One simulated world from its first to its last moment: a storm, the calm after it, the inquest.

The storm lasts as long as the plan says. Then nothing goes wrong any more, nobody begins anything
new, and all that is in flight must end.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import MutableMapping, Sequence
from functools import partial
from typing import Any

import attrs
import structlog.testing
import trio

from common.grid import ChunkId, chunk_id
from ops.simulate.cluster import Cluster
from ops.simulate.cuts import Cuts
from ops.simulate.front_desk import FrontDesk
from ops.simulate.inquest import check_told, hold_inquest
from ops.simulate.ledger import Ledger
from ops.simulate.network import Network
from ops.simulate.plan import Plan
from ops.simulate.player import Player
from ops.simulate.scheduler import Scheduler, run_seeded
from ops.simulate.servers import Adapters
from ops.simulate.storm import Storm
from ops.simulate.watcher import Watcher
from ops.simulate.weather import Weather
from shard.loader import SPOILT

CALM_SECONDS_MIN = 15.0  # For slots to be taken again (5 s), and for crossings to be settled.
WIDE_VIEWS = 10  # Of so many views one has 25 chunks, where connections are what is tried.
CALM_SECONDS_MAX = 150.0  # A session that is lost late in the storm lasts for 60 s.


@attrs.frozen
class Outcome:
    """``digest`` is over all that was told to anybody. ``took``: seconds of processor time."""

    plan: Plan
    violation: str | None
    digest: str
    seconds: float
    took: float
    counts: Counter[str]
    recent: tuple[str, ...]
    """What happened last, in short; ``transcript`` has all that was told, too."""
    transcript: tuple[str, ...] = attrs.field(repr=False)


def simulate(plan: Plan, adapters: Adapters | None = None) -> Outcome:
    """Run ``plan`` to its end, or to the first violation."""
    ledger, began = Ledger(), time.process_time()
    with structlog.testing.capture_logs() as logs:  # Processes that die have a lot to say.
        live = partial(_live, plan, ledger, adapters or Adapters(), logs)
        seconds = run_seeded(f"{plan.seed}", live)
    return Outcome(
        plan,
        ledger.violation,
        ledger.digest,
        seconds,
        time.process_time() - began,
        ledger.counts,
        tuple(ledger.recent),
        tuple(ledger.transcript),
    )


async def _live(
    plan: Plan,
    ledger: Ledger,
    adapters: Adapters,
    logs: Sequence[MutableMapping[str, Any]],
    scheduler: Scheduler,
) -> float:
    scheduler.on_standstill = partial(ledger.violate, "all run in circles, and time stands still")
    async with trio.open_nursery() as nursery:
        weather = Weather(plan.dice("weather"), plan.faults)
        network = Network(weather, ledger, nursery)
        cluster = Cluster(plan, ledger, scheduler, network, adapters, nursery)
        nursery.start_soon(_until_broken, cluster, nursery.cancel_scope)
        await _run(cluster)
        _check_logs(logs, ledger)
        nursery.cancel_scope.cancel()
    return trio.current_time()


def _check_logs(logs: Sequence[MutableMapping[str, Any]], ledger: Ledger) -> None:
    """What a shard puts up with, so that the rest goes on, is a bug all the same."""
    for log in logs:
        if log["event"] == SPOILT:
            ledger.violate(f"{log['chunk']} cannot be recovered: {log['error']}")


async def _until_broken(cluster: Cluster, everything: trio.CancelScope) -> None:
    await cluster.ledger.broken.wait()
    cluster.scheduler.go_on_all()  # Who is stopped can't end.
    everything.cancel()


async def _run(cluster: Cluster) -> None:
    plan = cluster.plan
    cluster.start_all()
    desk = FrontDesk(cluster)
    players = [
        Player(cluster, desk, desk.sign_up(f"p{number}"), plan.dice(f"player {number}"))
        for number in range(plan.agents)
    ]
    watchers = [
        Watcher(cluster, f"w{number}", _view(plan, number), plan.dice(f"watcher {number}"))
        for number in range(plan.spectators)
    ]
    storm = Storm(cluster, plan.dice("storm"))
    for live in [*(one.live for one in players), *(one.live for one in watchers)]:
        cluster.network.start(live)
    with trio.move_on_after(plan.minutes * 60 if not plan.reconnects else math.inf) as storming:
        cluster.network.start(partial(_until_enough, cluster.cuts, storming))
        await storm.rage()
    await storm.end()
    for player in players:
        player.is_done = True
    for watcher in watchers:
        watcher.finish()
    await _calm(cluster, players)
    await check_told(cluster, watchers)
    await hold_inquest(cluster, players)


async def _until_enough(cuts: Cuts, storm: trio.CancelScope) -> None:
    await cuts.enough.wait()
    storm.cancel()


def _view(plan: Plan, number: int) -> list[ChunkId]:
    """Some chunks around the first one, in any order; always that one. Or as many as one may."""
    dice = plan.dice(f"view {number}")
    if plan.reconnects and number % WIDE_VIEWS == 0:
        return [chunk_id(cx, cy) for cx in range(-2, 3) for cy in range(-2, 3)]
    around = [chunk_id(cx, cy) for cx in (-1, 0, 1) for cy in (-1, 0, 1) if (cx, cy) != (0, 0)]
    return [chunk_id(0, 0), *dice.sample(around, dice.randrange(4))]


async def _calm(cluster: Cluster, players: list[Player]) -> None:
    await trio.sleep(CALM_SECONDS_MIN)
    with trio.move_on_after(CALM_SECONDS_MAX):
        # Whatever it waits for changes in a hundred places: looking costs less.
        while not (all(p.is_settled for p in players) and _is_settled(cluster)):  # noqa: ASYNC110 - no one event
            await trio.sleep(1)
    cluster.ledger.event("all is calm")


def _is_settled(cluster: Cluster) -> bool:
    postgres = cluster.postgres
    return all(kept.result is not None for kept in postgres.commands.values())
