"""``tessera chaos --reconnects``: clients are cut off and gateways die, and nobody misses a thing.

Real processes, two gateways. Spectators record all that they get; what they got over all their
connections is held against the world's own sequence, from Redis and from the journal. Agents are
cut off, too; their lines are the ledger's and the referee's.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import attrs
import httpx
import structlog
import trio
import trio_asyncio
from rich.console import Console

from common.adapters.postgres import open_postgres
from common.adapters.postgres_history import read_history
from common.adapters.postgres_rows import read_world
from common.frames import ChunkDelta, ChunkStatic, Resync, SpectatorReady
from common.grid import ChunkId, chunk_id
from common.journal import History
from ops.chaos.archive import Archive, broken, untrue
from ops.chaos.chronicle import TICKS, Chronicle
from ops.chaos.cluster import Cluster, a_cluster, is_ready
from ops.chaos.findings import Findings
from ops.chaos.player import Player
from ops.chaos.recorder import Began, Recorder
from ops.chaos.referee import Referee
from ops.chaos.run import SEEN_CHUNKS, Clock, Order, a_few_witnesses, a_player, join_all, settle
from ops.client.spectator import read_frame
from ops.transcript import Transcript

RECORDERS = 30
AGENT_STAY_SECONDS = 6.0  # Less than 5, and its client waits longer each time.
KILL_SECONDS = (4.0, 10.0)  # Both serving, until one ends; by turns, and by both signals.
BACK_SECONDS = 10.0  # An agent that was cut off often waits up to 7.5 s before it comes back.
LAST_SECONDS = 3.0  # For what happened last to be heard by all.
LOOK_SECONDS = 0.2

log = structlog.get_logger("tessera.reconnects")


@attrs.define
class Counted:
    reconnects: int = 0
    agents: int = 0
    moved: int = 0
    kills: int = 0
    stops: int = 0
    deltas: int = 0
    statics: int = 0
    resyncs: int = 0
    resumed: int = 0
    published: int = 0
    seconds: float = 0.0


async def reconnect(order: Order, wanted: int, recorders: int, console: Console) -> bool:
    """Run until ``wanted`` connections were cut and served again; whether nothing was missed."""
    folder = Path(tempfile.mkdtemp(prefix="tessera-reconnects-"))
    findings, counted = Findings(), Counted()
    try:
        async with a_cluster(folder, order.size) as cluster:
            await _run(order, wanted, recorders, cluster, findings, counted)
        for fallen in cluster.fallen:
            findings.add("no process falls by itself", "the cluster", fallen)
        _tell(counted, findings, folder, console)
        return not findings.violations
    finally:
        if not findings.violations and not order.keep:
            await trio.to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))


async def _run(
    order: Order,
    wanted: int,
    recorders: int,
    cluster: Cluster,
    findings: Findings,
    counted: Counted,
) -> None:
    clock = Clock()
    chronicle = Chronicle(findings, clock.now)
    players = [a_player(order, n, findings, clock, AGENT_STAY_SECONDS) for n in range(order.agents)]
    witnesses = a_few_witnesses(order, cluster, chronicle, findings)
    recording = [_recorder(order, n, cluster.urls) for n in range(recorders)]
    archive = Archive(lambda: cluster.redis_url, _home())
    stop, leave = trio.Event(), trio.Event()
    async with trio.open_nursery() as stage:
        stage.start_soon(archive.keep)
        for witness in witnesses:
            chance = random.Random(f"witness {order.seed}")  # noqa: S311 - reproducible, no secret.
            stage.start_soon(witness.run, chance)
        for one in recording:
            stage.start_soon(one.run)
        await join_all(players, cluster, stage, stop, leave)
        clock.start()
        log.info("everybody is in", agents=len(players), recorders=recorders)
        async with trio.open_nursery() as killing:
            killing.start_soon(_end_gateways, order, cluster, counted)
            while _reconnects(recording, players) < wanted:  # noqa: ASYNC110 - counted in many.
                await trio.sleep(LOOK_SECONDS)
            killing.cancel_scope.cancel()
        counted.seconds = clock.now()
        log.info("enough, all must be heard now")
        for one in recording:
            one.be_calm()
        stop.set()
        await settle(players, findings)
        await trio.sleep(BACK_SECONDS)
        await Referee(cluster, players, witnesses, chronicle, findings).judge()
        await trio.sleep(LAST_SECONDS)
        await archive.read()
        leave.set()
        stage.cancel_scope.cancel()
    counted.reconnects = _reconnects(recording, players)
    counted.agents = sum(player.cut_off for player in players)
    counted.moved = sum(one.moved for one in recording)
    await _judge(cluster, recording, archive, findings, counted)


def _reconnects(recording: Sequence[Recorder], players: Sequence[Player]) -> int:
    return sum(one.cut_off for one in recording) + sum(player.cut_off for player in players)


def _home() -> list[ChunkId]:
    """Where somebody may walk, and around that: 25 chunks, as many as a view may have."""
    around = range(-SEEN_CHUNKS, SEEN_CHUNKS + 1)
    return [chunk_id(cx, cy) for cx in around for cy in around]


def _recorder(order: Order, n: int, urls: Sequence[str]) -> Recorder:
    """Views of one chunk, of some, of as many as there may be; always the first."""
    chance = random.Random(f"recorder {order.seed} {n}")  # noqa: S311 - reproducible, no secret.
    home = [chunk_id(0, 0), *(chunk for chunk in _home() if chunk != chunk_id(0, 0))]
    chunks = [home[0], *chance.sample(home[1:], (0, 4, 24)[n % 3])]
    return Recorder(f"recorder-{n}", urls, chunks, chance)


async def _end_gateways(order: Order, cluster: Cluster, counted: Counted) -> None:
    """One after the other, each time in the other way; the supervisor starts it again.

    Never both at a time: on a slow machine nobody could come back within a minute.
    """
    chance = random.Random(f"kills {order.seed}")  # noqa: S311 - reproducible, no secret.
    turn = 0
    while True:
        await trio.sleep(chance.uniform(*KILL_SECONDS))
        async with httpx.AsyncClient(timeout=2, trust_env=False) as http:
            while not await is_ready(cluster, http):  # noqa: ASYNC110 - of other processes.
                await trio.sleep(LOOK_SECONDS)
        running = cluster.running("gateway", turn % order.size.gateways)
        is_kill = turn // order.size.gateways % 2 == 0
        turn += 1
        with suppress(ProcessLookupError):
            if running is not None and is_kill:
                os.kill(running.pid, signal.SIGKILL)
                counted.kills += 1
            elif running is not None:
                cluster.tell_to_end(running)
                counted.stops += 1


async def _judge(
    cluster: Cluster,
    recording: Sequence[Recorder],
    archive: Archive,
    findings: Findings,
    counted: Counted,
) -> None:
    seed, histories = await _histories(cluster.database_url, archive)
    counted.published = archive.deltas
    for difference in broken(archive, histories, seed):
        findings.add("what is published follows from the journal", "Redis", difference)
    statics: dict[ChunkId, list[ChunkStatic]] = {}
    for one in recording:
        for fault in _faults(one, archive, statics, counted):
            findings.add(TICKS, one.name, fault)
    for chunk, shown in statics.items():
        for wrong in untrue(shown, histories[chunk], seed) if chunk in histories else ():
            findings.add("what is shown is what was", chunk, wrong)


async def _histories(url: str, archive: Archive) -> tuple[int, Mapping[ChunkId, History]]:
    async with trio_asyncio.open_loop(), open_postgres(url, connections_max=1) as postgres:
        world = await read_world(postgres)
        found = {chunk: await read_history(postgres, chunk) for chunk in archive.originals}
    return world.seed, {chunk: one for chunk, one in found.items() if one is not None}


def _faults(
    one: Recorder,
    archive: Archive,
    statics: dict[ChunkId, list[ChunkStatic]],
    counted: Counted,
) -> Sequence[str]:
    transcript, found, begun = Transcript(archive.originals), [], Began(False)
    for heard in one.heard:
        if isinstance(heard, Began):
            transcript.begin("last" if heard.with_id else "none")
            begun = heard
            continue
        fault = None
        match frame := read_frame(heard.data):
            case SpectatorReady(resumed=resumed):
                counted.resumed += resumed
                fault = None if resumed == begun.with_id else f"resumed={resumed}"
            case Resync(chunk=chunk):
                counted.resyncs += 1
                transcript.announce(one.chunks if chunk is None else [chunk])
            case ChunkStatic():
                counted.statics += 1
                statics.setdefault(frame.chunk, []).append(frame)
                fault = transcript.show(frame.chunk, frame.tick)
            case ChunkDelta():
                counted.deltas += 1
                fault = transcript.tell(frame.chunk, frame.tick, heard.data.encode())
            case None:
                fault = f"something unknown: {heard.data}"
        if fault is not None:
            found.append(fault)
    found += [f"never {chunk} at {tick}" for chunk, tick in transcript.missing().items()]
    return found


def _tell(counted: Counted, findings: Findings, folder: Path, console: Console) -> None:
    for violation in findings.violations[:20]:
        console.print(
            f"{violation.promise}: {violation.subject}: {violation.details}", markup=False
        )
    console.print(
        f"{counted.reconnects} forced reconnects ({counted.agents} of agents) in"
        f" {counted.seconds:.0f} s, and {counted.moved} because a gateway ended"
        f" ({counted.kills} killed, {counted.stops} stopped)\n"
        f"{counted.resumed} resumed; {counted.statics} statics, {counted.deltas} deltas and"
        f" {counted.resyncs} resyncs were held against {counted.published} published deltas\n"
        f"{len(findings.violations)} violations"
        + (f"; data and log are in {folder}" if findings.violations else ""),
        highlight=False,
    )
