"""Finding out what a batch can't be decided without: chunks, whereabouts, generations.

It decides nothing: what it finds goes to the findings, and what can't be found out now is noted
there as trouble.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

import attrs
import structlog
import trio

from common.errors import Trouble
from common.grid import AgentId, ChunkId, Tick
from common.limits import GENERATIONS_MAX, LOOKUPS_MAX, POSTGRES_SECONDS_MAX
from shard.chunks import Chunks
from shard.decisions.plan import Decision, Findings
from shard.loader import Loader
from shard.patience import bounded
from shard.ports import Journal

T = TypeVar("T")

_log = structlog.get_logger()


@attrs.define(eq=False)
class Inquiry:
    _journal: Journal
    _loader: Loader
    _chunks: Chunks
    _look: Callable[[], Awaitable[None]]
    """Looks at the topology."""
    _generations: dict[ChunkId, tuple[int, Tick]] = attrs.field(factory=dict, init=False)
    """What nobody holds does not change; the oldest is forgotten first."""

    def forget(self, chunk: ChunkId) -> None:
        """``chunk`` is being collected: what was known of it before it lived is wrong now."""
        self._generations.pop(chunk, None)

    async def answer(self, questions: Sequence[Decision], findings: Findings) -> None:
        missing: dict[ChunkId, None] = {}
        turns = trio.Semaphore(LOOKUPS_MAX)
        async with trio.open_nursery() as nursery:
            for sought in {one.sought: None for one in questions if one.sought}:
                nursery.start_soon(self._seek, sought, findings, turns)
            for unshown in {one.unshown: None for one in questions if one.unshown}:
                nursery.start_soon(self._date, unshown, findings, turns)
            if unsure := [one for one in questions if one.is_unsure]:
                nursery.start_soon(self._make_sure, unsure, findings)
            missing = {one.missing: None for one in questions if one.missing}
            if missing:
                nursery.start_soon(self._load, missing, findings)

    async def _make_sure(self, unsure: Iterable[Decision], findings: Findings) -> None:
        try:
            await self._look()
            findings.has_looked = True
        except Trouble:
            messages = [one.received.message for one in unsure]
            findings.trouble.update(message.chunk for message in messages if message is not None)

    async def _load(self, missing: Iterable[ChunkId], findings: Findings) -> None:
        try:
            await self._loader.load(missing)
        except Trouble as trouble:
            _log.warning("cannot load chunks", chunks=len(tuple(missing)), trouble=str(trouble))
            findings.trouble.update(missing)

    async def _seek(self, agent: AgentId, findings: Findings, turns: trio.Semaphore) -> None:
        found = await _ask(turns, lambda: self._journal.whereabouts(agent))
        if isinstance(found, Trouble):
            findings.trouble.add(agent)
        else:
            findings.whereabouts[agent] = found

    async def _date(self, chunk: ChunkId, findings: Findings, turns: trio.Semaphore) -> None:
        if chunk not in self._generations:
            found = await _ask(turns, lambda: self._generation(chunk))
            if isinstance(found, Trouble):
                findings.trouble.add(chunk)
                return
            self._remember(chunk, found)
        findings.generations[chunk] = self._generations[chunk]

    async def _generation(self, chunk: ChunkId) -> tuple[int, Tick]:
        await self._chunks.wait_forgotten([chunk])
        return await self._journal.generation(chunk)

    def _remember(self, chunk: ChunkId, found: tuple[int, Tick]) -> None:
        self._generations[chunk] = found
        if len(self._generations) > GENERATIONS_MAX:
            del self._generations[next(iter(self._generations))]


async def _ask(turns: trio.Semaphore, call: Callable[[], Awaitable[T]]) -> T | Trouble:
    async with turns:
        try:
            return await bounded(POSTGRES_SECONDS_MAX, call)
        except Trouble as trouble:
            return trouble
