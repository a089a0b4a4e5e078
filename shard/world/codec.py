"""Chunks, inputs and agents as bytes, for snapshots, the journal and travellers, and back.

Pure. Equal values have equal bytes: agents are sorted by id, so ``digest`` tells whether two
machines have the same chunk. What was written before a field came or went can still be read.
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
    format: Literal[2] = attrs.field(default=2, kw_only=True)
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
    said = wire.parse(data)
    if isinstance(said, dict) and said.get("format") == 1:
        said = _renewed(said)
    saved = wire.structure(said, _Snapshot)
    agents = {agent.id: agent for agent in saved.agents}
    return Chunk(saved.id, saved.generation, saved.seed, saved.tick, saved.changed, agents)


def encode_input(told: Input) -> bytes:
    return wire.encode(told)


def decode_input(data: bytes) -> Input:
    said = wire.parse(data)
    if isinstance(said, dict) and said.get("type") == "arrive":
        said = {**said, "traveller": _patient(said.get("traveller"))}
    told: Input = wire.structure(said, Input)
    return told


def encode_agent(agent: Agent) -> str:
    """Return a traveller as ``ArrivalAsked`` carries it."""
    return wire.encode(agent).decode()


def decode_agent(text: str) -> Agent:
    return wire.structure(_patient(wire.parse(text)), Agent)


def digest(chunk: Chunk) -> str:
    """Return the BLAKE2b of the encoding, in hex."""
    return digest_of(encode_chunk(chunk))


def digest_of(encoded: bytes) -> str:
    """Return that of a chunk as it was stored, in whatever format."""
    return hashlib.blake2b(encoded, digest_size=32).hexdigest()


def _renewed(said: dict[str, object]) -> dict[str, object]:
    """Return a snapshot of format 1 as one of format 2."""
    agents, tick = said.get("agents"), said.get("tick")
    if isinstance(agents, list) and isinstance(tick, int):
        agents = [_patient(agent, tick) for agent in agents]
    return {**said, "agents": agents, "format": 2}


def _patient(agent: object, tick: int = 0) -> object:
    """Return an agent whose patience at borders is its own; it used to be its walk's.

    ``tick``: of the chunk in which it stands. A traveller has none.
    """
    if not isinstance(agent, dict) or not isinstance(agent.get("doing"), dict):
        return agent
    doing = dict(agent["doing"])
    refused = doing.pop("refused", 0)
    patience = {"asks_from": tick + refused + 1} if refused and isinstance(refused, int) else {}
    return {**agent, "doing": doing, **patience}
