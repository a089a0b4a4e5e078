"""Which commands of a session were offered, which run, and how the others ended.

Pure, and it writes no frames. The lines of the shards are its truth: they come twice, late or
early, and leave here in order of seq, each once. Times are Unix milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from common.commands import Say
from common.envelopes import AckLine, CommandOffered, ResultLine, SessionLine
from common.grid import CommandId
from common.journal import Known
from common.limits import COMMAND_GRACE_MS, REOFFER_SECONDS, SETTLE_MS_MAX
from gateway.agent.answered import Answered
from gateway.agent.ordering import Ordering

_REOFFER_MS = int(REOFFER_SECONDS * 1000)


@attrs.frozen
class Pending:
    """Offered, and not decided on as far as we know; ``due_ms`` is when to do something."""

    id: CommandId
    expires_at_ms: int
    due_ms: int
    message: CommandOffered | None
    """None when another connection offered it; then nobody here knows what it is."""

    @property
    def given_up_ms(self) -> int:
        """By then nobody can accept it any more, whatever the clocks say."""
        return self.expires_at_ms + COMMAND_GRACE_MS


@attrs.frozen
class Overdue:
    """``again`` are to be offered again; ``expired`` can't be accepted any more."""

    again: Sequence[CommandOffered]
    expired: Sequence[CommandId]


@attrs.define
class Docket:
    _ordering: Ordering = attrs.field(factory=Ordering)
    _answered: Answered = attrs.field(factory=Answered)
    _running: set[CommandId] = attrs.field(factory=set)
    """Accepted and without a result, ``say`` excepted: at most one, and what another gateway
    offered, of which nobody here knows what it is."""
    _owed: set[CommandId] = attrs.field(factory=set)
    """Accepted and without a result: those that run, and ``say``."""
    _pending: dict[CommandId, Pending] = attrs.field(factory=dict, init=False)
    _cancelled_ms: dict[CommandId, int] = attrs.field(factory=dict, init=False)

    @property
    def delivered(self) -> int:
        """The seq of the last line handed on."""
        return self._ordering.delivered

    @property
    def held(self) -> int:
        """How many lines wait for one that is missing."""
        return self._ordering.held

    @property
    def exists(self) -> int:
        """Lines up to this seq exist, whether they were handed on or not."""
        return self._ordering.exists

    @property
    def pending(self) -> int:
        return len(self._pending)

    @property
    def is_busy(self) -> bool:
        """Whether a command that excludes others is offered or runs."""
        return bool(self.busy_with)

    @property
    def busy_with(self) -> Sequence[CommandId]:
        """The commands that exclude others, offered or running: one, usually."""
        offered = [id for id, pending in self._pending.items() if _excludes(pending)]
        return [*offered, *self._running]

    @property
    def due_ms(self) -> int | None:
        """When ``overdue`` has something to say, if nothing happens before."""
        if not self._pending:  # By far the most usual.
            return None
        return min(pending.due_ms for pending in self._pending.values())

    @property
    def is_running(self) -> bool:
        """Whether a result is to come."""
        return bool(self._owed)

    @property
    def is_settled(self) -> bool:
        """Whether neither an ack nor a result is to come."""
        return not (self._pending or self._owed)

    def is_pending(self, id: CommandId) -> bool:
        return id in self._pending

    def is_in_flight(self, id: CommandId) -> bool:
        """Whether ``id`` is offered or runs."""
        return id in self._pending or id in self._running

    def find(self, id: CommandId) -> Known | None:
        """What was answered to ``id``, as far as it was handed on, if it is still at hand."""
        return self._answered.find(id)

    def may_be_older(self, id: CommandId) -> bool:
        """Whether ``id``, which was not found, may have been answered long ago."""
        return self._answered.may_be_older(id)

    def recall(self, known: Known) -> None:
        self._answered.recall(known)

    # The way of a command

    def offer(self, message: CommandOffered, now_ms: int) -> None:
        due_ms = now_ms + _REOFFER_MS
        self._pending[message.id] = Pending(message.id, message.expires_at_ms, due_ms, message)

    def expect(self, under_way: Mapping[CommandId, int]) -> None:
        """Wait for these, offered by an earlier connection; see ``common.bus.Binding``."""
        for id, expires_at_ms in under_way.items():
            self._pending[id] = Pending(
                id, expires_at_ms, expires_at_ms + COMMAND_GRACE_MS, message=None
            )

    def drop(self, id: CommandId) -> bool:
        """``id`` was refused; False when it was not pending, so nobody waits to hear it."""
        self._cancelled_ms.pop(id, None)
        return self._pending.pop(id, None) is not None

    def refuse(self, line: AckLine) -> bool:
        """A shard refused; return whether somebody waits to hear it.

        It may be late: news of an earlier offer of the same id, which says nothing about this one.
        """
        pending = self._pending.get(line.id)
        if pending is None or pending.expires_at_ms != line.expires_at_ms:
            return False
        return self.drop(line.id)

    def take(self, line: SessionLine) -> list[SessionLine]:
        """Return the numbered lines that can be handed on now."""
        ready = self._ordering.take(line)
        for each in ready:
            self._note(each)
        return ready

    def _note(self, line: SessionLine) -> None:
        match line:
            case AckLine():
                pending = self._pending.pop(line.id, None)
                if pending is None or _excludes(pending):
                    self._running.add(line.id)
                self._owed.add(line.id)
                self._answered.accepted(line)
            case ResultLine():
                self._running.discard(line.id)
                self._owed.discard(line.id)
                self._cancelled_ms.pop(line.id, None)
                self._answered.ended(line)

    def overdue(self, now_ms: int) -> Overdue:
        """Return what must be done now about commands that nobody decided on."""
        due = [pending for pending in self._pending.values() if pending.due_ms <= now_ms]
        again, expired = [], []
        for pending in due:
            self._pending[pending.id] = attrs.evolve(pending, due_ms=now_ms + _REOFFER_MS)
            if pending.given_up_ms <= now_ms:
                expired.append(pending.id)
            elif pending.message is not None and now_ms < pending.expires_at_ms:
                again.append(pending.message)
        return Overdue(again, expired)

    def is_hopeless(self, id: CommandId, now_ms: int) -> bool:
        """Whether ``id`` expired so long ago that its client is not to wait for us any more."""
        pending = self._pending.get(id)
        return pending is not None and pending.given_up_ms + SETTLE_MS_MAX <= now_ms

    def may_cancel(self, id: CommandId, now_ms: int) -> bool:
        """Whether to pass a cancellation of ``id`` on: once in a while, while it is in flight."""
        if not self.is_in_flight(id):
            return False
        last_ms = self._cancelled_ms.get(id)
        if last_ms is not None and now_ms < last_ms + _REOFFER_MS:
            return False
        self._cancelled_ms[id] = now_ms
        return True

    def forget_cancel(self, id: CommandId) -> None:
        self._cancelled_ms.pop(id, None)


def _excludes(pending: Pending) -> bool:
    return pending.message is None or not isinstance(pending.message.command, Say)


def resumed_docket(
    after_seq: int, before: Iterable[SessionLine], complete: bool, running: CommandId | None
) -> Docket:
    """Return the docket of a session that goes on here, lines after ``after_seq`` yet to come.

    ``before`` are the lines up to there that we know, in order, ``complete`` if these are all;
    ``running`` is what its shard said to be in flight.
    """
    answered = Answered(complete)
    acked, ended = set(), set()
    for line in before:
        match line:
            case AckLine():
                answered.accepted(line)
                acked.add(line.id)
            case ResultLine():
                answered.ended(line)
                ended.add(line.id)
    still_running = {running} - ended if running is not None else set()
    owed = (acked | still_running) - ended
    return Docket(Ordering(after_seq), answered, still_running, owed)
