"""A chunk as it was, tick by tick, from what is kept of it; and where that is not what was stored.

Pure. The same ``advance`` with the same inputs gives the same chunk, so each digest that a shard
stored must come out again. Where one does not, the rules have changed or the storage has, and
the tick is named. What was stored is believed: it goes on from a snapshot that differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs

from common import wire
from common.grid import Tick
from common.journal import History, Row, Snapshot
from shard.world.codec import decode_chunk, decode_input, digest, digest_of, new_chunk
from shard.world.idle import is_idle, skip_to
from shard.world.inputs import Input
from shard.world.state import Chunk
from shard.world.tick import TickResult, advance


@attrs.frozen
class Difference:
    """``tick`` is not as it was stored. ``same`` is the last one before that was seen to be."""

    tick: Tick
    why: str
    same: Tick | None

    def __str__(self) -> str:
        before = "" if self.same is None else f" (tick {self.same} is still the same)"
        return f"tick {self.tick} differs: {self.why}{before}"


@attrs.define(eq=False)
class Rebuilding:
    """Reading ``ticks`` fills in the rest."""

    history: History
    seed: int
    step: Callable[[Chunk, Sequence[Input]], TickResult] = advance
    """What makes the next tick; for who wants to know more of each than the chunk."""
    differences: list[Difference] = attrs.field(factory=list, init=False)
    compared: int = attrs.field(default=0, init=False)
    """Digests."""
    heard: int = attrs.field(default=0, init=False)
    """Inputs."""
    _same: Tick | None = attrs.field(default=None, init=False)

    def ticks(self, until: Tick) -> Iterator[Chunk]:
        """Yield the chunk tick by tick up to ``until``, quiet stretches in one step.

        After a tick that cannot be made again the next is a snapshot's, if there is one.
        """
        rows, digests = _by_tick(self.history.rows), _digests(self.history.rows)
        snapshots = {snapshot.tick: snapshot for snapshot in self.history.snapshots}
        chunk: Chunk | None = None
        marks = {*rows, *digests, *snapshots, self.history.first, until}
        for mark in sorted(tick for tick in marks if self.history.first <= tick <= until):
            shown: Chunk | None = None
            if chunk is not None:
                try:
                    for later in self._towards(mark, chunk, rows.get(mark, ())):
                        chunk = shown = later
                        yield chunk
                except _Broken as broken:
                    self._differs(broken.tick, str(broken))
                    chunk = None
            elif mark == self.history.first and not snapshots:
                chunk = new_chunk(self.history.chunk, self.history.generation, self.seed, mark)
            if mark in snapshots:
                chunk = self._meet(chunk, snapshots[mark])
            if chunk is not None and mark in digests:
                self._compare(chunk, digests[mark], "the journal has another digest of it")
            if chunk is not None and chunk is not shown:
                yield chunk

    def _towards(self, mark: Tick, chunk: Chunk, rows: Sequence[Row]) -> Iterator[Chunk]:
        """Let time go on to ``mark``, where ``rows`` are heard."""
        end = Tick(mark - 1) if rows else mark
        while chunk.tick < end:
            chunk = skip_to(chunk, end) if is_idle(chunk) else self._next(chunk, ())
            yield chunk
        if rows:
            inputs = [_input(ordinal, row) for ordinal, row in enumerate(rows)]
            self.heard += len(inputs)
            yield self._next(chunk, inputs)

    def _next(self, chunk: Chunk, inputs: Sequence[Input]) -> Chunk:
        try:
            return self.step(chunk, inputs).chunk
        except Exception as error:
            # A bug anywhere else. Here it is what we are looking for: other rules than then.
            raise _Broken(Tick(chunk.tick + 1), f"the rules fail on it ({error!r})") from error

    def _meet(self, chunk: Chunk | None, snapshot: Snapshot) -> Chunk | None:
        """Compare ``chunk`` with what was saved then; return which of both to go on from."""
        if digest_of(snapshot.state) != snapshot.digest:
            self._differs(snapshot.tick, "its snapshot was changed after it was written")
        if chunk is not None and self._compare(
            chunk, snapshot.digest, "its snapshot has another digest"
        ):
            return chunk
        try:
            return decode_chunk(snapshot.state)
        except wire.Malformed as error:
            self._differs(snapshot.tick, f"its snapshot cannot be read ({error})")
            return chunk

    def _compare(self, chunk: Chunk, stored: str, otherwise: str) -> bool:
        self.compared += 1
        if digest(chunk) == stored:
            self._same = chunk.tick
            return True
        self._differs(chunk.tick, otherwise)
        return False

    def _differs(self, tick: Tick, why: str) -> None:
        self.differences.append(Difference(tick, why, self._same))


class _Broken(Exception):
    """``tick`` cannot be made again."""

    def __init__(self, tick: Tick, why: str) -> None:
        super().__init__(why)
        self.tick = tick


def _input(ordinal: int, row: Row) -> Input:
    if row.ordinal != ordinal:
        raise _Broken(row.tick, f"its input {ordinal} is missing")
    if not row.is_intact:
        raise _Broken(row.tick, f"its input {ordinal} was changed after it was written")
    try:
        return decode_input(row.body)
    except wire.Malformed as error:
        raise _Broken(row.tick, f"its input {ordinal} cannot be read ({error})") from error


def _by_tick(rows: Sequence[Row]) -> Mapping[Tick, Sequence[Row]]:
    by_tick: dict[Tick, list[Row]] = {}
    for row in rows:
        by_tick.setdefault(row.tick, []).append(row)
    return by_tick


def _digests(rows: Sequence[Row]) -> Mapping[Tick, str]:
    """Return the digests of the chunk after these ticks: a row has that of before its own."""
    return {Tick(row.tick - 1): row.digest for row in rows if row.digest is not None}
