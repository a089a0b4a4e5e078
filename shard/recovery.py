"""A chunk as it must be now, from what PostgreSQL kept of it and what was shown of it.

Pure. Replay is the same ticks with the same inputs, so it says the same again: acks, results,
outcomes of crossings; whoever receives them recognises that. Only deltas that were published are
left out, and where agents stood on the way: since then they may have gone elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from common.envelopes import AckLine
from common.grid import AgentId, Tick
from common.journal import PlacedFact, Taken
from common.limits import LOST_TICKS, SILENT_TICKS_MAX
from shard.emission import Ask, Emission, emission_of
from shard.world.codec import decode_chunk, decode_input, digest_of, new_chunk
from shard.world.idle import is_idle, skip_to
from shard.world.inputs import Input, Order, Settle
from shard.world.state import Chunk
from shard.world.tick import TickResult, advance


@attrs.frozen
class Recovered:
    chunk: Chunk
    emissions: tuple[Emission, ...]


def recover(taken: Taken, published: Tick | None, seed: int) -> Recovered:
    """Return the chunk after the last of: its snapshot, its journal, what was ``published``."""
    replay = _Replay(taken, _start(taken, seed), published or Tick(0))
    rows = _by_tick(taken)
    replay.run_to(max([taken.tick, replay.published, *rows]), rows)
    if taken.is_final:
        pass  # Nothing happened that nobody saw.
    elif published is None and (taken.state is not None or rows):
        # Redis has lost what was shown. It can't have been more than this, or a silent while.
        replay.run_on(LOST_TICKS)
    else:
        replay.run_silently()
    return Recovered(replay.chunk, replay.finished())


def _start(taken: Taken, seed: int) -> Chunk:
    if taken.state is None:
        return new_chunk(taken.chunk, taken.generation, seed, taken.tick)
    chunk = decode_chunk(taken.state)
    if taken.digest is not None:
        assert digest_of(taken.state) == taken.digest, f"{taken.chunk} was kept wrongly"
    assert chunk.tick == taken.tick, f"{taken.chunk}: kept at {taken.tick}, reads {chunk.tick}"
    return chunk


def _by_tick(taken: Taken) -> Mapping[Tick, Sequence[Input]]:
    by_tick: dict[Tick, list[Input]] = {}
    for row in taken.rows:
        by_tick.setdefault(row.tick, []).append(decode_input(row.body))
    return by_tick


@attrs.define
class _Replay:
    taken: Taken
    chunk: Chunk
    published: Tick
    emissions: list[Emission] = attrs.field(factory=list)
    places: dict[AgentId, PlacedFact] = attrs.field(factory=dict)
    """The last word on those of whom there was one."""

    def run_to(self, end: Tick, rows: Mapping[Tick, Sequence[Input]]) -> None:
        for tick in [*sorted(rows), end]:
            self._pass(Tick(tick - 1) if tick in rows else tick)
            if tick in rows and self.chunk.tick < tick:
                self._step(rows[tick])

    def _pass(self, end: Tick) -> None:
        """Let time go on to ``end``, unless it has."""
        while self.chunk.tick < end:
            if is_idle(self.chunk):
                self.chunk = skip_to(self.chunk, end)
            else:
                self._step(())

    def run_on(self, ticks: int) -> None:
        self._pass(Tick(self.chunk.tick + ticks))

    def run_silently(self) -> None:
        """Take the ticks that may have been made unseen, up to the last that had effects.

        A tick without events leaves no trace in Redis, but what it led to (a question at a border,
        the end of a wait) may be known to others by now. It must not be decided anew.
        """
        silent: list[TickResult] = []
        chunk = self.chunk
        while len(silent) < SILENT_TICKS_MAX and not is_idle(chunk):
            result = advance(chunk, ())
            if result.events:
                break
            silent.append(result)
            chunk = result.chunk
        while silent and not silent[-1].effects:
            silent.pop()
        for _ in silent:
            self._step(())

    def _step(self, inputs: Sequence[Input]) -> None:
        before = self.chunk
        result = advance(before, inputs)
        self.chunk = result.chunk
        acks = tuple(
            AckLine(told.session, told.id, seq=told.seq, tick=result.chunk.tick)
            for told in inputs
            if isinstance(told, Order)
        )
        emission = emission_of(before, self.taken.epoch, result, self.published) or _NOTHING
        for told in inputs:
            if isinstance(told, Settle) and told.entered:
                self.places.pop(told.agent, None)
        self._emit(emission, acks)

    def _emit(self, emission: Emission, acks: tuple[AckLine, ...]) -> None:
        if emission is _NOTHING and not acks:
            return
        placed = [fact for fact in emission.facts if isinstance(fact, PlacedFact)]
        self.places.update((fact.agent, fact) for fact in placed)
        self.emissions.append(
            attrs.evolve(
                emission,
                lines=acks + emission.lines,
                facts=tuple(one for one in emission.facts if not isinstance(one, PlacedFact)),
                asks=tuple(one for one in emission.asks if _is_answer(one)),
            )
        )

    def finished(self) -> tuple[Emission, ...]:
        """Return what was said, and in the end where those stand who are surely here or gone."""
        agents = self.chunk.agents
        sure = [
            fact
            for fact in self.places.values()
            if fact.agent not in agents or agents[fact.agent].transfer is None
        ]
        said = [one for one in self.emissions if one != _NOTHING]
        return (*said, Emission(facts=tuple(sure))) if sure else tuple(said)


_NOTHING = Emission()


def _is_answer(ask: Ask) -> bool:
    """Whether it answers. Questions are not repeated here: the border learns how they ended."""
    return ask.message.type == "crossing_answered"
