"""``tessera chaos``: a world of our own, agents and spectators in it, and what a seed does to it.

Load while faults come; then the faults stop, everything in flight must end, and the referee
judges, also whether there was enough to be judged. The folder is kept when something was wrong,
and when it could not be done.
"""

from __future__ import annotations

import math
import random
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import structlog
import trio
from rich.console import Console

from common.grid import ChunkId, chunk_id
from ops.chaos.chronicle import Chronicle
from ops.chaos.cluster import Cluster, Size, a_cluster
from ops.chaos.coverage import Coverage
from ops.chaos.faults import draw_faults
from ops.chaos.findings import Findings
from ops.chaos.injector import Injector
from ops.chaos.leases import Leases
from ops.chaos.ledger import ONCE, Ledger
from ops.chaos.player import HOME_CHUNKS, STAY_SECONDS, Player
from ops.chaos.referee import Referee
from ops.chaos.report import Story, show
from ops.chaos.reshaping import Reshaper
from ops.chaos.witness import Witness

SETTLE_SECONDS_MAX = 60.0  # Without faults everything in flight ends; a long walk takes a while.
RESHARDINGS = (4, 3, 8, 1, 2)  # From 2: up and down, some chunks stay and some move.
JOINING = 4  # Agents that join at a time: they all come in through one chunk.
SEEN_CHUNKS = HOME_CHUNKS + 1  # Walks do not lead beyond; 25 chunks are what a view may have.

log = structlog.get_logger("tessera.chaos")


@attrs.frozen
class Order:
    """What is asked for."""

    seed: int
    seconds: float
    agents: int = 60
    rate: float = 200.0
    """Commands a second, all agents together."""
    witnesses: int = 3
    size: Size = attrs.field(factory=Size)
    keep: bool = False
    reshard: Sequence[int] = ()
    """Instead of faults: change the number of shards to each of these."""
    roll: bool = False
    """Instead of faults: replace every process in turn."""

    @property
    def is_reshaping(self) -> bool:
        return bool(self.reshard) or self.roll


async def chaos(order: Order, console: Console) -> bool:
    """Run it and show what came of it; return whether every promise was kept."""
    findings = Findings()
    async with _a_folder(findings, keep=order.keep) as folder:
        async with a_cluster(folder, order.size) as cluster:
            story = await _run(order, cluster, findings)
        for fallen in cluster.fallen:
            findings.add("no process falls by itself", "the cluster", fallen)
        show(story, console)
    return not findings.violations


@asynccontextmanager
async def _a_folder(findings: Findings, *, keep: bool) -> AsyncIterator[Path]:
    """One that stays when there is something to look into: a violation, or what raised."""
    # Not where only we may enter: PostgreSQL runs as another user when we are root.
    folder = Path(tempfile.mkdtemp(prefix="tessera-chaos-"))
    has_raised = True
    try:
        yield folder
        has_raised = False
    finally:
        was_told = trio.current_effective_deadline() == -math.inf  # To end: that raises, too.
        if findings.violations or keep or (has_raised and not was_told):
            log.info("data and logs are kept", folder=str(folder))
        else:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))


async def _run(order: Order, cluster: Cluster, findings: Findings) -> Story:
    clock = Clock()
    chronicle = Chronicle(findings, clock.now)
    players = [a_player(order, n, findings, clock) for n in range(order.agents)]
    leases = Leases(lambda: cluster.redis_url, order.size.shards, seen_chunks())
    injector = Injector(cluster, leases, players, findings, clock.now)
    witnesses = a_few_witnesses(order, cluster, chronicle, findings)
    for player in players:
        player.ledger.ended = partial(injector.ended, player.name)
    stop, leave = trio.Event(), trio.Event()
    async with trio.open_nursery() as stage:
        for n, witness in enumerate(witnesses):
            stage.start_soon(witness.run, random.Random(f"witness {order.seed} {n}"))  # noqa: S311 - reproducible, no secret.
        stage.start_soon(leases.watch)
        await join_all(players, cluster, stage, stop, leave)
        clock.start()
        log.info("everybody is in, faults begin", agents=len(players), log=str(cluster.log))
        reshaper = Reshaper(cluster, seen_chunks(), findings, clock.now)
        await _inflict(order, injector, reshaper)
        await trio.sleep(max(0.0, order.seconds - clock.now()))
        stop.set()
        seconds = clock.now()
        log.info("faults are over, everything must end")
        await settle(players, findings)
        referee = Referee(cluster, players, witnesses, chronicle, findings)
        await referee.judge()
        leave.set()
        await referee.judge_the_end()
        stage.cancel_scope.cancel()
    changes = reshaper.changes if order.is_reshaping else None
    coverage = Coverage(seconds, order.size.spares, injector, players, referee.held, changes)
    coverage.judge(findings)
    return Story(
        order.seed,
        seconds,
        injector,
        players,
        witnesses,
        chronicle,
        findings,
        coverage,
        cluster.folder,
        reshaper.changes,
    )


async def _inflict(order: Order, injector: Injector, reshaper: Reshaper) -> None:
    if order.reshard:
        await reshaper.reshard(order.reshard)
    if order.roll:
        await reshaper.roll()
    if not order.is_reshaping:
        size = order.size
        await injector.run(draw_faults(order.seed, order.seconds, size.gateways, size.shards))


@attrs.define
class Clock:
    began: float | None = None

    def start(self) -> None:
        self.began = trio.current_time()

    def now(self) -> float:
        """Seconds since the load began; 0 before."""
        return 0.0 if self.began is None else trio.current_time() - self.began


def a_player(
    order: Order, n: int, findings: Findings, clock: Clock, stay_seconds: float = STAY_SECONDS
) -> Player:
    ledger = Ledger(f"chaos-{n}", findings, clock.now)
    chance = random.Random(f"player {order.seed} {n}")  # noqa: S311 - reproducible, no secret.
    return Player(ledger, findings, chance, order.rate / order.agents, stay_seconds)


def a_few_witnesses(
    order: Order, cluster: Cluster, chronicle: Chronicle, findings: Findings
) -> list[Witness]:
    return [
        Witness(f"witness-{n}", cluster.urls, seen_chunks(), chronicle, findings)
        for n in range(order.witnesses)
    ]


def seen_chunks() -> list[ChunkId]:
    around = range(-SEEN_CHUNKS, SEEN_CHUNKS + 1)
    return [chunk_id(cx, cy) for cy in around for cx in around]


async def join_all(
    players: list[Player],
    cluster: Cluster,
    stage: trio.Nursery,
    stop: trio.Event,
    leave: trio.Event,
) -> None:
    seats = trio.CapacityLimiter(JOINING)

    async def join(n: int, player: Player) -> None:
        turned = n % len(cluster.urls)
        urls = [*cluster.urls[turned:], *cluster.urls[:turned]]
        async with seats:
            await stage.start(player.run, urls, stop, leave)

    async with trio.open_nursery() as joining:
        for n, player in enumerate(players):
            joining.start_soon(join, n, player)


def _is_settled(player: Player) -> bool:
    """Whether all has ended that it began; also what it gave up, and may hear of later."""
    return player.is_done and not any(True for _ in player.ledger.unfinished())


async def settle(players: list[Player], findings: Findings) -> None:
    """Wait until nothing is in flight; who is not done by then has found a broken promise."""
    with trio.move_on_after(SETTLE_SECONDS_MAX):
        while not all(map(_is_settled, players)):  # noqa: ASYNC110 - who fell tells nobody.
            await trio.sleep(0.1)
    for player in players:
        for id, entry in player.ledger.unfinished():
            details = (
                f"{id} accepted, no result {SETTLE_SECONDS_MAX:.0f} s after the faults: {entry}"
            )
            findings.add(ONCE, f"{player.name} {player.ledger.session}", details)
        if not player.is_done:
            details = "something it began has not ended"
            findings.add("everything in flight ends", player.name, details)
