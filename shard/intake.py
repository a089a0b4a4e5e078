"""The way in: what came is decided, journaled in one commit, and only then answered.

One batch at a time, so one commit at a time. Between a decision and the journal's answer the
chunks it is about do not tick. Whether an input was written is never guessed: when nobody knows,
the very same commit is made again until somebody does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs
import structlog
import trio

from common.bus import Forward, Received, Refusal
from common.errors import InDoubt, Trouble
from common.grid import ChunkId
from common.journal import Committed, Conflict, Row
from common.limits import BACKOFF_SECONDS_MIN, DECIDE_ROUNDS_MAX, POSTGRES_SECONDS_MAX
from shard import metrics
from shard.awaited import Awaited
from shard.chunks import Chunks
from shard.decisions.decide import decide
from shard.decisions.plan import CommandKey, Decision, Findings, Round
from shard.decisions.refusing import give_up, refuse
from shard.emission import Emission
from shard.inbox import WITHIN, Inbox
from shard.inquiry import Inquiry
from shard.live import Live
from shard.outbox import Outbox
from shard.patience import bounded, next_pause
from shard.ports import Journal
from shard.routes import Routes
from shard.trails import Trails
from shard.way import Way

_log = structlog.get_logger()


@attrs.define(eq=False)
class Intake:
    _inbox: Inbox
    _outbox: Outbox
    _chunks: Chunks
    _trails: Trails
    _routes: Routes
    _journal: Journal
    _inquiry: Inquiry
    _seed: int
    _awaited: Awaited
    _way: Way
    _idle: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    """What may be cut short: waiting for a batch, never dealing with one."""
    _is_finishing: bool = attrs.field(default=False, init=False)
    _ended: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def run(self) -> None:
        """Deal with what comes, until ``finish``."""
        while not self._is_finishing:
            batch: list[Received] = []
            with trio.CancelScope() as self._idle:
                await self._outbox.wait_room()
                batch = await self._inbox.take()
            await self._deal_with(batch)
        self._ended.set()

    async def finish(self) -> None:
        """Take no further batch; return when the one being dealt with is done."""
        self._is_finishing = True
        self._idle.cancel()
        await self._ended.wait()

    async def _deal_with(self, batch: Sequence[Received]) -> None:
        self._way.begin()
        findings, left = Findings(), batch
        for _ in range(DECIDE_ROUNDS_MAX):
            left = await self._try(left, findings)
            if not left:
                break
        for received in left:
            if received.message is not None:
                self._apply(give_up(received, received.message))
        held = self._inbox.held_positions()
        self._outbox.put(
            Emission(
                receipts=tuple(
                    one.position
                    for one in batch
                    if one.position != WITHIN and one.position not in held
                )
            )
        )

    async def _try(self, batch: Sequence[Received], findings: Findings) -> Sequence[Received]:
        """Decide and journal ``batch``; return those that must be decided again."""
        now = Round(
            self._seed,
            self._chunks,
            self._routes,
            self._trails,
            findings,
            self._inbox.may_hold,
            self._awaited.covers,
        )
        decisions = [decide(now, received) for received in batch]
        if questions := [one for one in decisions if one.is_question]:
            await self._inquiry.answer(questions, findings)
            return batch
        rows = [one.row for one in decisions if one.row is not None]
        if not rows:
            self._apply_all(decisions)
            return ()
        lives = self._close(one.chunk for one in decisions if one.chunk is not None)
        try:
            outcome = await self._commit(rows)
        finally:
            for live in lives:
                live.end_commit()
        # Nothing is awaited from here on: no chunk ticks before it has its inputs.
        match outcome:
            case Conflict():
                findings.learn(outcome, _probed(decisions))
                return batch
            case Committed():
                lost = self._lost(lives, outcome)
                self._apply_all(
                    one for one in decisions if one.row is None or one.chunk not in lost
                )
                return [one.received for one in decisions if one.row and one.chunk in lost]
            case None:
                self._refuse_all(decisions)
                return ()

    def _close(self, chunks: Iterable[ChunkId]) -> Sequence[Live]:
        """Let no chunk tick that was decided about, also where nothing is to be journaled."""
        lives = [self._chunks.peek(chunk) for chunk in dict.fromkeys(chunks)]
        closed = [live for live in lives if live is not None]
        for live in closed:
            live.begin_commit()
        return closed

    async def _commit(self, rows: Sequence[Row]) -> Committed | Conflict | None:
        """Return the journal's answer; None when it is known that nothing was written."""
        pause = 0.0
        while True:
            try:
                return await self._commit_once(rows)
            except InDoubt as trouble:
                pause = next_pause(pause)
                _log.warning("journal in doubt, asking again", rows=len(rows), trouble=str(trouble))
                await trio.sleep(pause)
            except Trouble as trouble:
                if not pause:
                    _log.warning("journal unavailable", rows=len(rows), trouble=str(trouble))
                    # Whoever is refused comes back at once: no need to hurry towards that.
                    await trio.sleep(BACKOFF_SECONDS_MIN)
                    return None
                # An earlier try may have been written: only an answer ends the doubt.
                pause = next_pause(pause)
                await trio.sleep(pause)

    async def _commit_once(self, rows: Sequence[Row]) -> Committed | Conflict:
        started = trio.current_time()
        outcome = await bounded(POSTGRES_SECONDS_MAX, lambda: self._journal.commit(rows))
        seconds = trio.current_time() - started
        metrics.JOURNAL_SECONDS.observe(seconds)
        metrics.JOURNAL_ROWS.observe(len(rows))
        if isinstance(outcome, Committed):
            self._way.journaled(rows, seconds)
        return outcome

    def _lost(self, lives: Iterable[Live], outcome: Committed) -> set[ChunkId]:
        for chunk in outcome.fenced:
            self._chunks.lose(chunk)
        return set(outcome.fenced) | {live.id for live in lives if live.is_lost}

    # After the journal's answer

    def _apply_all(self, decisions: Iterable[Decision]) -> None:
        for decision in decisions:
            self._apply(decision)

    def _apply(self, decision: Decision) -> None:
        live = self._chunks.peek(decision.chunk) if decision.chunk is not None else None
        self._way.decided(decision)
        if decision.outcome:
            metrics.COMMANDS.labels(decision.outcome).inc()
        if decision.released is not None:
            self._awaited.released(decision.released)
        if decision.trail is not None:
            self._trails.left(*decision.trail)
        if live is not None and decision.attach is not None:
            attach = decision.attach
            asked = live.attaching.setdefault((attach.agent, attach.session), {})
            asked[attach.gateway] = attach
        if live is not None and decision.input is not None and decision.row is not None:
            assert decision.row.tick == live.next_tick, f"{live.id} ticked on: {decision.row}"
            live.waiting.append(decision.input)
            live.ordinal = decision.row.ordinal + 1
            self._chunks.wake(live)
        if decision.is_held and decision.chunk is not None:
            self._inbox.hold(decision.chunk, decision.received)
        said = Emission(
            lines=decision.lines,
            refusals=_refusals(decision),
            replies=decision.replies,
            forwards=_forwards(decision),
        )
        if said != _NOTHING:
            self._outbox.put(said)

    def _refuse_all(self, decisions: Iterable[Decision]) -> None:
        """Nothing was written: what needed to be is refused, the rest stays as decided."""
        for decision in decisions:
            if decision.row is None and decision.attach is None:
                self._apply(decision)
            elif decision.received.message is not None:
                self._apply(refuse(decision.received, decision.received.message))


def _refusals(decision: Decision) -> tuple[Refusal, ...]:
    if decision.refusal is None:
        return ()
    position = decision.received.position
    assert position != WITHIN, "commands come from the stream"
    return (Refusal(position, decision.refusal, decision.is_told),)


def _forwards(decision: Decision) -> tuple[Forward, ...]:
    source = decision.received.position
    return tuple(
        Forward(slot, message, None if source == WITHIN else source)
        for slot, message in decision.forwards
    )


_NOTHING = Emission()


def _probed(decisions: Iterable[Decision]) -> list[CommandKey]:
    acks = [one.row.command for one in decisions if one.row is not None and one.input is None]
    return [(ack.session, ack.id) for ack in acks if ack is not None]
