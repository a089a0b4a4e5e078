"""Every name in Redis, and what lives under it.

Pure. One prefix, so that a server may be shared; nobody else builds a name by hand.
"""

from __future__ import annotations

from common.grid import AgentId, ChunkId, CommandId, GatewayId, SessionId, Slot

PREFIX = "tessera:"
GATEWAY_PREFIX = f"{PREFIX}gateway:"  # Lua completes these with what it reads in Redis.
LEASE_PREFIX = f"{PREFIX}lease:"
COMMANDS_PREFIX = f"{PREFIX}commands:"
DRAIN_PREFIX = f"{PREFIX}drain:"
OFFER_PREFIX = "offer:"  # Ids are the clients': without it one could be called ``gateway``.


def commands(slot: Slot) -> str:
    """Stream: messages to the shard that holds ``slot``; trimmed once they are journaled."""
    return f"{COMMANDS_PREFIX}{slot}"


def deltas(chunk: ChunkId) -> str:
    """Stream and pub/sub channel: the deltas of ``chunk``; an entry's id is its tick."""
    return f"{PREFIX}deltas:{chunk}"


def fence(chunk: ChunkId) -> str:
    """String: the highest epoch that published for ``chunk``, and the last tick published."""
    return f"{PREFIX}fence:{chunk}"


def lines(session: SessionId) -> str:
    """Stream: accepted acks and results of ``session``; an entry's id is its seq."""
    return f"{PREFIX}lines:{session}"


def binding(session: SessionId) -> str:
    """Hash: the gateway that serves ``session``, the number of its connection, its ``offer``s."""
    return f"{PREFIX}binding:{session}"


def offer(id: CommandId) -> str:
    """Field of a binding: until when ``id`` can be accepted (Unix ms); negative once refused."""
    return f"{OFFER_PREFIX}{id}"


def gateway(gateway: GatewayId) -> str:
    """Pub/sub channel: messages to one gateway."""
    return f"{GATEWAY_PREFIX}{gateway}"


def lease(slot: Slot) -> str:
    """String with an expiry: the ``holder`` of ``slot``."""
    return f"{LEASE_PREFIX}{slot}"


def holder(process: str, tenure: int) -> str:
    """What a lease holds: who has the slot, and for the how many-th time it has one.

    What an earlier tenure sent and is late must find the slot taken, also by the same process.
    """
    return f"{process}/{tenure}"


def process_of(holder: str) -> str:
    return holder.rpartition("/")[0] or holder


def drain(process: str) -> str:
    """String with an expiry: ``process`` is to hand over all that it has, and to end."""
    return f"{DRAIN_PREFIX}{process}"


def creation(chunk: ChunkId) -> str:
    """String with an expiry: the process that is about to create ``chunk``."""
    return f"{PREFIX}creation:{chunk}"


def strikes(agent: AgentId, kind: str) -> str:
    """List with an expiry: times (ms) of wrong (``invalid``) or late (``expired``) answers."""
    return f"{PREFIX}strikes:{kind}:{agent}"


def cooldown(agent: AgentId) -> str:
    """String with an expiry: ``agent`` may not command for so long."""
    return f"{PREFIX}cooldown:{agent}"


def bucket(kind: str, subject: str) -> str:
    """Hash: a token bucket, as (tokens, when)."""
    return f"{PREFIX}bucket:{kind}:{subject}"


PRESENCE = f"{PREFIX}presence"
"""Sorted set: session by the time (ms, of the Redis server) until which it counts as here."""

WATCHED = f"{PREFIX}watched"
"""Sorted set: chunk by the time (ms, of the Redis server) at which it was last known watched."""

GATEWAYS = f"{PREFIX}gateways"
"""Hash: gateway -> its last beat."""

SLOTS = f"{PREFIX}slots"
"""Hash: slot -> its last beat."""

PROCESSES = f"{PREFIX}processes"
"""Hash: shard process -> its last beat."""

NEWS = f"{PREFIX}news"
"""Stream: the topology, a lease, or who is to drain has changed; look again. Says nothing else."""
