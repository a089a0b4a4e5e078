"""Chunks, inputs and agents as bytes, for snapshots, the journal and travellers, and back.

Pure. Equal values have equal bytes: agents are sorted by id, so ``digest`` tells whether two
machines have the same chunk.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import attrs

from common import wire
from common.grid import ChunkId, Tick
from shard.world.inputs import Input
from shard.world.state import Agent, Chunk


@attrs.frozen
class _Snapshot:
    id: ChunkId
    generation: int
    seed: int
    tick: Tick
    changed: Tick
    agents: list[Agent]
    format: Literal[1] = attrs.field(default=1, kw_only=True)
    """Raised when a snapshot of before can no longer be read as it is."""


def new_chunk(id: ChunkId, generation: int, seed: int, tick: Tick) -> Chunk:
    """Return a chunk with nobody in it, which nobody has seen change since ``tick``."""
    return Chunk(id, generation, seed, tick, tick, {})


def encode_chunk(chunk: Chunk) -> bytes:
    agents = [chunk.agents[id] for id in sorted(chunk.agents)]
    return wire.encode(
        _Snapshot(chunk.id, chunk.generation, chunk.seed, chunk.tick, chunk.changed, agents)
    )


def decode_chunk(data: bytes) -> Chunk:
    """Return the chunk that ``encode_chunk`` made ``data`` of, or ``wire.Malformed``."""
    saved = wire.decode(data, _Snapshot)
    agents = {agent.id: agent for agent in saved.agents}
    return Chunk(saved.id, saved.generation, saved.seed, saved.tick, saved.changed, agents)


def encode_input(told: Input) -> bytes:
    return wire.encode(told)


def decode_input(data: bytes) -> Input:
    return wire.decode(data, Input)


def encode_agent(agent: Agent) -> str:
    """Return a traveller as ``ArrivalAsked`` carries it."""
    return wire.encode(agent).decode()


def decode_agent(text: str) -> Agent:
    return wire.decode(text, Agent)


def digest(chunk: Chunk) -> str:
    """Return the BLAKE2b of the encoding, in hex."""
    return hashlib.blake2b(encode_chunk(chunk), digest_size=32).hexdigest()
