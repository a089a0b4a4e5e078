"""When all is calm: is everything where it must be, and nothing left undone?

It stops the shards in good order, and reads what PostgreSQL has then: that is all that a next
life would know. It is compared with what clients were told and with what was published.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import trio

from common.envelopes import AckLine, SessionLine
from common.grid import AgentId, ChunkId, CommandId, SessionId, Slot
from ops.simulate.cluster import Cluster
from ops.simulate.player import Player
from ops.simulate.watcher import Watcher
from shard.world.codec import decode_chunk
from shard.world.state import Agent

STOPS_MAX = 3
READ_SECONDS = 10.0  # All is calm, so that a message is dealt with in a moment.
TOLD_SECONDS_MAX = 20.0  # A feed that lost something looks after some seconds.
LIFE_SECONDS = 5.0  # To take the slots, and to load what has something in it.
STOP_SECONDS = 6.0  # A shard has SHUTDOWN_SECONDS_MAX to put everything in order.


async def check_told(cluster: Cluster, watchers: Sequence[Watcher]) -> None:
    """Whoever watches has been told all there is, soon after the last of it happened."""
    with trio.move_on_after(TOLD_SECONDS_MAX):
        while any(watcher.transcript.missing() for watcher in watchers):  # noqa: ASYNC110 - no one event
            await trio.sleep(1)
    for watcher in watchers:
        if missing := watcher.transcript.missing():
            cluster.ledger.violate(f"{watcher.name} was never told of {dict(missing)}")


async def hold_inquest(cluster: Cluster, players: Sequence[Player]) -> None:
    _check_ended(cluster, players)
    await _check_streams(cluster)
    for _ in range(STOPS_MAX):
        await _stop_shards(cluster)
        if not any(kept.after for kept in cluster.postgres.chunks.values()):
            break
        # What came in at the last moment is journaled, and for a next life to deal with.
        cluster.start_shards()
        await trio.sleep(LIFE_SECONDS)
    _check_history(cluster, players)
    _check_places(cluster, players)
    for chunk in sorted(cluster.postgres.chunks):
        cluster.rerun.check(chunk)


async def _check_streams(cluster: Cluster) -> None:
    """Nothing lies in a slot's stream for ever, whether or not there is such a slot any more."""
    before = _waiting(cluster)
    await trio.sleep(READ_SECONDS)
    for slot, position in sorted(before & _waiting(cluster)):
        cluster.ledger.violate(f"message {position} lies in the stream of slot {slot} for ever")


def _waiting(cluster: Cluster) -> set[tuple[Slot, int]]:
    streams = cluster.redis.slots.items()
    return {(slot, entry[0]) for slot, stream in streams for entry in stream.entries}


async def _stop_shards(cluster: Cluster) -> None:
    shards = cluster.shards()
    for shard in shards:
        shard.stop.set()
        cluster.processes.remove(shard)
    with trio.move_on_after(STOP_SECONDS):
        for shard in shards:
            await shard.ended.wait()


def _check_ended(cluster: Cluster, players: Sequence[Player]) -> None:
    violate = cluster.ledger.violate
    for (session, id), kept in cluster.postgres.commands.items():
        if kept.result is None:
            violate(f"{id} of {session} was accepted and never ended")
    for player in players:
        if not player.is_settled:
            violate(f"{player.id} ({player.session}) waits for ever: {player.waits_for}")


def _check_history(cluster: Cluster, players: Sequence[Player]) -> None:
    violate = cluster.ledger.violate
    lines: dict[SessionId, dict[int, SessionLine]] = {}
    for (session, id), kept in cluster.postgres.commands.items():
        if id in cluster.books.of(session).refused:
            violate(f"{id} of {session} was refused, and then done")
        for line in (kept.ack, kept.result):
            if line is not None and line.seq is not None:
                if line.seq in lines.setdefault(session, {}):
                    violate(f"{session}: seq {line.seq} is {line} and another")
                lines[session][line.seq] = line
    for session, known in lines.items():
        if sorted(known) != list(range(1, len(known) + 1)):
            violate(f"{session} has the seqs {sorted(known)}")
    for session, book in cluster.books.books.items():
        for seq, told in book.lines.items():
            line = lines.get(session, {}).get(seq)
            if line is None or told != _as_told(line):
                violate(f"{session} was told {told} at {seq}, and on record is {line}")
    for player in players:
        known = lines.get(SessionId(player.session), {})
        last_seq = cluster.books.of(SessionId(player.session)).last_seq
        if last_seq < len(known):
            violate(f"{player.id} ({player.session}) was told {last_seq} of {len(known)} lines")


def _as_told(line: SessionLine) -> tuple[str, CommandId, int, str | None]:
    if isinstance(line, AckLine):
        return "ack", line.id, line.tick or 0, None
    return "result", line.id, line.tick, line.reason


@attrs.frozen
class _Found:
    chunk: ChunkId
    agent: Agent


def _check_places(cluster: Cluster, players: Sequence[Player]) -> None:
    violate, found = cluster.ledger.violate, _found(cluster)
    for agent, places in sorted(found.items()):
        if len(places) > 1:
            violate(f"{agent} is in {[one.chunk for one in places]}")
        if places[0].agent.transfer is not None:
            violate(f"{agent} stands frozen at a border of {places[0].chunk} for ever")
    for player in players:
        (one,) = found.get(player.id, [None])[:1]
        if one is None:
            violate(f"{player.id} is in no chunk")
        elif one.agent.session != player.session:
            violate(f"{player.id} is driven by {one.agent.session}, not {player.session}")
        shown = cluster.census.chunks_of(player.id)
        if one is not None and shown != [one.chunk]:
            violate(f"{player.id} is shown in {shown} and is in {one.chunk}")


def _found(cluster: Cluster) -> dict[AgentId, list[_Found]]:
    found: dict[AgentId, list[_Found]] = {}
    for id, kept in sorted(cluster.postgres.chunks.items()):
        if kept.after:
            cluster.ledger.violate(f"{id} was not saved at the end")
        if kept.snapshot is None:
            continue
        chunk = decode_chunk(kept.snapshot.state)
        for agent in chunk.agents.values():
            found.setdefault(agent.id, []).append(_Found(id, agent))
        cluster.ledger.told(id, kept.snapshot.digest)
    return found
