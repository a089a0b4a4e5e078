"""What is told of a session's commands on their way through here: lines of log, and spans.

Only where somebody wants either: else there is no Way, and commands pay nothing. It decides
nothing. A command is named by its trace and never by the client's id for it: that is the
client's to choose, and could be anything.
"""

from __future__ import annotations

import logging

import attrs
import structlog

from common.envelopes import CommandOffered, SessionLine
from common.frames import Ack, Result, ServerFrame
from common.grid import CommandId
from common.limits import ANSWERS_KEPT_MAX
from common.traces import Attribute, Kind, Span, Spans, is_sampled, trace_id_of
from gateway.agent.sitting import Sitting

_log = structlog.get_logger(__name__)


@attrs.define
class _Command:
    trace: str
    name: str
    """"" when another gateway offered it."""
    since_ns: int
    """When it was offered; once its ack is told, when that was."""
    is_acked: bool = False


@attrs.define(eq=False)
class Way:
    _sitting: Sitting
    _spans: Spans
    _commands: dict[CommandId, _Command] = attrs.field(factory=dict, init=False)
    """Those that are not over; of more than ANSWERS_KEPT_MAX the oldest are forgotten."""

    def offered(self, message: CommandOffered) -> None:
        """A proven command goes to its shard, for the first time."""
        name = message.command.name
        self._add(message.id, _Command(message.trace, name, self._spans.now_ns()))
        self._note("command offered", message.trace, command=name)

    def heard(self, line: SessionLine) -> None:
        """A shard said something; of what another gateway offered we learn the trace by it."""
        if line.trace and line.id not in self._commands:
            known = _Command(line.trace, "", self._spans.now_ns(), is_acked=True)
            self._add(line.id, known)

    def told(self, frame: ServerFrame) -> None:
        """The client is told how its command goes."""
        match frame:
            case Ack():
                self._acked(frame)
            case Result():
                self._ended(frame)
            case _:
                pass

    def _acked(self, ack: Ack) -> None:
        command = self._commands.get(ack.id)
        outcome = ack.code or "accepted"
        if command is None:  # Refused before it was offered, or answered long ago.
            self._note("command answered", self._sitting.trace(ack.id), outcome=outcome)
            return
        self._note("command answered", command.trace, outcome=outcome, seq=ack.seq)
        if not command.is_acked:
            about = {"tessera.command": command.name, "tessera.outcome": outcome}
            self._record("command", command, about, is_root=True)
            command.is_acked, command.since_ns = True, self._spans.now_ns()
        if ack.code is not None:
            del self._commands[ack.id]

    def _ended(self, result: Result) -> None:
        command = self._commands.pop(result.id, None)
        outcome = result.reason or result.status
        if command is None:
            return  # It is told again.
        self._note("command ended", command.trace, outcome=outcome, seq=result.seq)
        self._record("command.result", command, {"tessera.outcome": outcome})

    def _add(self, id: CommandId, command: _Command) -> None:
        self._commands[id] = command
        if len(self._commands) > ANSWERS_KEPT_MAX:
            del self._commands[next(iter(self._commands))]

    def _note(self, what: str, trace: str, **more: object) -> None:
        _log.debug(what, trace_id=trace_id_of(trace), session=self._sitting.session, **more)

    def _record(
        self, name: str, command: _Command, about: dict[str, str], *, is_root: bool = False
    ) -> None:
        if not is_sampled(command.trace):
            return
        parent, own = (self._sitting.parent, command.trace) if is_root else (command.trace, "")
        kind: Kind = "server" if is_root else "internal"
        attributes: dict[str, Attribute] = {**about, "tessera.session": self._sitting.session}
        ended_ns = self._spans.now_ns()
        self._spans.record(Span(name, kind, command.since_ns, ended_ns, parent, own, attributes))


def way_of(sitting: Sitting, spans: Spans) -> Way | None:
    is_wanted = spans.is_on or logging.getLogger(__name__).isEnabledFor(logging.DEBUG)
    return Way(sitting, spans) if is_wanted else None
