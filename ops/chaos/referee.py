"""Holds what agents and witnesses were told against each other and against PostgreSQL, at the end.

It reads and compares, after the faults have stopped and everything in flight has ended; what must
still reach PostgreSQL or a witness by then gets some seconds for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager

import attrs
import trio
import trio_asyncio

from common.adapters.postgres import Postgres, open_postgres
from common.errors import Trouble
from common.frames import ChunkStatic, Entity
from common.grid import AgentId, Cell, ChunkId, CommandId, SessionId, Tick
from ops.chaos.chronicle import EFFECTS, Chronicle
from ops.chaos.cluster import Cluster
from ops.chaos.findings import Findings
from ops.chaos.ledger import ONCE, SEQS, Entry, Ledger
from ops.chaos.player import Player
from ops.chaos.record import Held, Row, Rows, is_same, read_rows, unfinished
from ops.chaos.witness import Witness
from ops.client import Refused, spectate

RECORD_SECONDS_MAX = 20.0  # Results are recorded lazily, in an outage's wake a while later.
AGREE_SECONDS_MAX = 15.0  # Until every witness has seen what happened last.
ASK_SECONDS = 0.25
_Place = tuple[ChunkId, int, int]
_AGENTS = "select id, chunk, x, y, present from agent"

PLACES = "each agent is in exactly one chunk"


@attrs.frozen
class Referee:
    cluster: Cluster
    players: Sequence[Player]
    witnesses: Sequence[Witness]
    chronicle: Chronicle
    findings: Findings
    held: Held = attrs.field(factory=Held)

    async def judge(self) -> None:
        """Judge while everybody stands where the last command led."""
        async with self._postgres() as postgres:
            rows = await self._rows(postgres)
            for player in self.players:
                self.compare(player.ledger, rows)
            await self._agree(lambda: self._who_is_elsewhere(postgres))

    async def judge_the_end(self) -> None:
        """Judge once everybody has left: nobody is shown, and PostgreSQL knows each last cell."""
        async with self._postgres() as postgres:
            await self._agree(lambda: self._who_is_left(postgres))

    @asynccontextmanager
    async def _postgres(self) -> AsyncIterator[Postgres]:
        async with (
            trio_asyncio.open_loop(),
            open_postgres(self.cluster.database_url) as postgres,
        ):
            yield postgres

    async def _rows(self, postgres: Postgres) -> Rows:
        """Return what PostgreSQL keeps of commands, once every one of them has its result."""
        found: Rows = {}
        with trio.move_on_after(RECORD_SECONDS_MAX):
            while True:
                try:
                    found = await read_rows(postgres)
                    if not list(unfinished(found)):
                        return found
                except Trouble:
                    pass  # It may be the one that was killed last.
                await trio.sleep(ASK_SECONDS)
        for session, id, row in unfinished(found):
            self.findings.add(ONCE, session, f"{id} has no result in PostgreSQL: {row}")
        return found

    def compare(self, ledger: Ledger, rows: Rows) -> None:
        """Hold what one agent was told against what PostgreSQL kept and the witnesses saw."""
        self._check_lines(ledger, rows)
        self._check_effects(ledger, rows)

    # What was said of commands

    def _check_lines(self, ledger: Ledger, rows: Rows) -> None:
        for session, entries in ledger.sessions.items():
            mine = rows.get(session, {})
            self._check_seqs(ledger, session, mine)
            for id in entries.keys() | mine.keys():
                self._compare(f"{ledger.name} {session}", id, entries.get(id), mine.get(id))

    def _check_seqs(
        self, ledger: Ledger, session: SessionId, rows: Mapping[CommandId, Row]
    ) -> None:
        seqs = [row.seq for row in rows.values()]
        seqs += [row.result_seq for row in rows.values() if row.result_seq is not None]
        if sorted(seqs) != list(range(1, len(seqs) + 1)):
            self.findings.add(SEQS, f"{ledger.name} {session}", f"PostgreSQL has {sorted(seqs)}")
        if session == ledger.session and ledger.last_seq != len(seqs):
            details = f"{len(seqs)} lines in PostgreSQL, {ledger.last_seq} heard"
            self.findings.add(SEQS, f"{ledger.name} {session}", details)

    def _compare(self, subject: str, id: CommandId, entry: Entry | None, row: Row | None) -> None:
        if entry is None:
            self.findings.add(ONCE, subject, f"{id} was never sent, PostgreSQL has {row}")
        elif row is None:
            if entry.is_accepted or entry.result is not None:
                self.findings.add(ONCE, subject, f"{id} is not in PostgreSQL: {entry}")
        elif entry.ack is not None and not entry.is_accepted:
            self.findings.add(ONCE, subject, f"{id} was rejected, PostgreSQL has {row}")
        elif not is_same(entry, row):
            self.findings.add(ONCE, subject, f"{id}: heard {entry}, PostgreSQL has {row}")

    # What they did

    def _check_effects(self, ledger: Ledger, rows: Rows) -> None:
        for session, entries in ledger.sessions.items():
            subject = f"{ledger.name} {session}"
            for id, entry in entries.items():
                row = rows.get(session, {}).get(id)
                done = row is not None and row.result_seq is not None and row.result_reason is None
                if entry.command["name"] == "say":
                    self._check_saying(subject, ledger.agent, entry, row, done)
                elif row is not None and row.result_tick is not None:
                    self._check_position(subject, ledger.agent, entry, row)
                if done and row is not None and entry.command["name"] == "move_to":
                    goal = (entry.command["x"], entry.command["y"])
                    if (row.result_x, row.result_y) != goal:
                        self.findings.add(EFFECTS, subject, f"{id} ended elsewhere: {entry} {row}")

    def _check_saying(
        self, subject: str, agent: AgentId | None, entry: Entry, row: Row | None, done: bool
    ) -> None:
        heard = self.chronicle.said.get(entry.command["text"])
        if heard is not None and not done:
            self.findings.add(EFFECTS, subject, f"{entry.command} was heard, and not done: {row}")
        if not done or row is None or row.result_chunk is None or row.result_tick is None:
            return
        if not self.held.count(was_seen=heard is not None or self._was_seen(row)):
            return
        if heard is not None:
            if heard != (agent, row.result_chunk, row.result_tick):
                self.findings.add(EFFECTS, subject, f"{heard} heard what {row} is about")
        else:
            self.findings.add(EFFECTS, subject, f"{entry.command} done and not heard: {row}")

    def _check_position(self, subject: str, agent: AgentId | None, entry: Entry, row: Row) -> None:
        assert agent is not None
        assert row.result_chunk is not None
        assert row.result_tick is not None
        chunk = ChunkId(row.result_chunk)
        seen = self.chronicle.place(chunk, agent, Tick(row.result_tick))
        was_seen = self.held.count(was_seen=self._was_seen(row))
        if was_seen and seen != (row.result_x, row.result_y):
            self.findings.add(
                EFFECTS, subject, f"{agent} was seen at {seen}, its result says {row}: {entry}"
            )

    def _was_seen(self, row: Row) -> bool:
        assert row.result_chunk is not None
        assert row.result_tick is not None
        return self.chronicle.is_whole(ChunkId(row.result_chunk), Tick(row.result_tick))

    # Where everybody is

    async def _agree(self, disagree: Callable[[], Awaitable[list[tuple[str, str]]]]) -> None:
        """Ask until nobody disagrees; or, when it is too late, report who does."""
        wrong: list[tuple[str, str]] = [("the world", "nobody could be asked")]
        with trio.move_on_after(AGREE_SECONDS_MAX):
            while True:
                try:
                    wrong = await disagree()
                except (Trouble, Refused) as trouble:
                    wrong = [("the world", str(trouble))]
                if not wrong:
                    return
                await trio.sleep(ASK_SECONDS)
        for subject, details in wrong:
            self.findings.add(PLACES, subject, details)

    async def _who_is_elsewhere(self, postgres: Postgres) -> list[tuple[str, str]]:
        views = await self._views()
        rows = await self._agents(postgres)
        wrong: list[tuple[str, str]] = []
        for player, agent, here in self._standing():
            for name, shown in views.items():
                if shown.get(agent, []) != [here]:
                    wrong.append((_subject(player), f"at {here}; {name}: {shown.get(agent)}"))
            # The cell there is a hint as long as it is in the world.
            if rows[agent][0][0] != here[0]:
                wrong.append((_subject(player), f"at {here}; PostgreSQL: {rows[agent]}"))
        return wrong

    async def _who_is_left(self, postgres: Postgres) -> list[tuple[str, str]]:
        rows = await self._agents(postgres)
        wrong = [
            (_subject(player), f"was at {here} when it left; PostgreSQL: {rows[agent]}")
            for player, agent, here in self._standing()
            if rows[agent] != (here, False)
        ]
        for name, shown in (await self._views()).items():
            wrong += [(agent, f"left, {name} has it at {at}") for agent, at in shown.items()]
        return wrong

    def _standing(self) -> Iterator[tuple[Player, AgentId, _Place]]:
        for player in self.players:
            if player.agent is not None and player.is_done:
                cell = Cell(player.agent.position.x, player.agent.position.y)
                yield player, player.agent.id, (cell.chunk, cell.x, cell.y)

    async def _views(self) -> Mapping[str, Mapping[AgentId, list[_Place]]]:
        """What each gateway shows now, and what each witness has in the end."""
        views = {witness.name: _entities_of(witness) for witness in self.witnesses}
        for url in self.cluster.urls:
            views[url] = await self._shown_at(url)
        return views

    async def _agents(self, postgres: Postgres) -> Mapping[AgentId, tuple[_Place, bool]]:
        rows = await postgres.read("reading agents", _AGENTS)
        return {
            AgentId(row["id"]): ((ChunkId(row["chunk"]), row["x"], row["y"]), row["present"])
            for row in rows
        }

    async def _shown_at(self, url: str) -> Mapping[AgentId, list[_Place]]:
        statics: dict[ChunkId, ChunkStatic] = {}
        chunks = self.witnesses[0].chunks
        async with spectate(url, chunks) as events:
            async for event in events:
                if isinstance(event.frame, ChunkStatic):
                    statics[event.frame.chunk] = event.frame
                if len(statics) == len(chunks):
                    break
        return _by_agent([(chunk, one) for chunk in statics for one in statics[chunk].entities])


def _subject(player: Player) -> str:
    return f"{player.name} {player.ledger.agent} {player.ledger.session}"


def _entities_of(witness: Witness) -> Mapping[AgentId, list[_Place]]:
    replicas = witness.view.replicas
    return _by_agent(
        [(chunk, one) for chunk in replicas for one in replicas[chunk].entities.values()]
    )


def _by_agent(entities: Sequence[tuple[ChunkId, Entity]]) -> Mapping[AgentId, list[_Place]]:
    places: dict[AgentId, list[_Place]] = {}
    for chunk, one in entities:
        places.setdefault(one.id, []).append((chunk, one.x, one.y))
    return places
