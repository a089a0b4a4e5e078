"""What chunks are shown as, read once however many are told: the census, agents, spectators.

Pure, but that it remembers. Strictly, so that a frame with more in it than the protocol has is
noticed at once; what they make of it is everybody's own.
"""

from __future__ import annotations

from functools import lru_cache

from common import wire
from common.frames import ChunkDelta, ChunkStatic

_SHOWN: dict[object, type[ChunkStatic | ChunkDelta]] = {
    "chunk_static": ChunkStatic,
    "chunk_delta": ChunkDelta,
}


@lru_cache(maxsize=4_096)
def read_shown(text: str) -> ChunkStatic | ChunkDelta | None:
    """Return the static or delta that ``text`` is the JSON of; None when it is something else."""
    plain = wire.parse(text)
    kind = _SHOWN.get(plain.get("type")) if isinstance(plain, dict) else None
    return None if kind is None else wire.structure(plain, kind)
