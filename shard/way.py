"""Commands on their way through a shard: which trace each belongs to, lines of log, and spans.

It decides nothing. It remembers the trace of what was accepted, so that the result names it; this
dies with the process, and a result that nobody here knows the trace of goes without. A command is
named by its trace, never by the client's id for it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import attrs
import structlog

from common.envelopes import ArrivalAsked, CommandOffered
from common.grid import AgentId, CommandId, SessionId
from common.journal import Row
from common.limits import TRACES_MAX
from common.traces import NO_SPANS, Attribute, Kind, Span, Spans, is_sampled, trace_id_of
from shard.decisions.plan import Decision
from shard.world.effects import Departing, Finished
from shard.world.inputs import Arrive
from shard.world.state import Agent

_log = structlog.get_logger(__name__)

_Key = tuple[SessionId, CommandId]
_UNKNOWN = ("", 0)
_KINDS: dict[str, Kind] = {
    "command.decide": "consumer",
    "command.journal": "client",
    "command.run": "internal",
}


@attrs.define(eq=False)
class Way:
    _spans: Spans = NO_SPANS
    _running: dict[_Key, tuple[str, int]] = attrs.field(factory=dict, init=False)
    """Trace and beginning (Unix ns, 0 while nobody wants to know) of what was accepted, in order
    of that; of more than TRACES_MAX the oldest are forgotten."""
    _began_ns: int = attrs.field(default=0, init=False)
    _is_watched: bool = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        is_debug = logging.getLogger(__name__).isEnabledFor(logging.DEBUG)
        self._is_watched = self._spans.is_on or is_debug

    def begin(self) -> None:
        """A batch is about to be decided."""
        self._began_ns = self._spans.now_ns()

    def journaled(self, rows: Sequence[Row], seconds: float) -> None:
        if not self._spans.is_on:
            return
        ended_ns = self._spans.now_ns()
        began_ns = ended_ns - int(seconds * 1e9)
        for row in rows:
            if row.command is not None and is_sampled(row.command.trace):
                self._record(
                    "command.journal", began_ns, ended_ns, row.command.trace, {"rows": len(rows)}
                )

    def decided(self, decision: Decision) -> None:
        """``decision`` is carried out: journaled, if it had to be."""
        message = decision.received.message
        if isinstance(message, CommandOffered) and decision.outcome:
            if decision.outcome == "accepted":
                self._remember((message.session, message.id), message.trace)
            if self._is_watched:
                self._note_decided(decision.outcome, message)
        elif isinstance(message, ArrivalAsked) and isinstance(decision.input, Arrive):
            key = _led_by(decision.input.traveller)
            if key is not None and message.trace:
                self._remember(key, message.trace)

    def trace_of(self, effect: Finished | Departing) -> str:
        """Return the trace of the command that has ended, or leads away from here; "": unknown."""
        if isinstance(effect, Departing):
            key = _led_by(effect.traveller)
            return self._running.get(key, _UNKNOWN)[0] if key is not None else ""
        trace, began_ns = self._running.pop((effect.session, effect.id), _UNKNOWN)
        if self._is_watched:
            self._note_ended(effect, trace, began_ns)
        return trace

    def _remember(self, key: _Key, trace: str) -> None:
        self._running[key] = (trace, self._spans.now_ns())
        if len(self._running) > TRACES_MAX:
            del self._running[next(iter(self._running))]

    def _note_decided(self, outcome: str, message: CommandOffered) -> None:
        _note("command decided", message.trace, message.agent, message.session, outcome)
        if is_sampled(message.trace):
            about: dict[str, Attribute] = {
                "outcome": outcome,
                "chunk": message.chunk,
                "hops": message.hops,
            }
            ended_ns = self._spans.now_ns()
            self._record("command.decide", self._began_ns, ended_ns, message.trace, about)

    def _note_ended(self, effect: Finished, trace: str, began_ns: int) -> None:
        outcome = effect.reason or "completed"
        _note("command ended", trace, None, effect.session, outcome)
        if is_sampled(trace):
            ended_ns = self._spans.now_ns()
            self._record("command.run", began_ns, ended_ns, trace, {"outcome": outcome})

    def _record(
        self, name: str, began_ns: int, ended_ns: int, trace: str, about: Mapping[str, Attribute]
    ) -> None:
        attributes = {f"tessera.{key}": value for key, value in about.items()}
        kind = _KINDS[name]
        self._spans.record(Span(name, kind, began_ns, ended_ns, trace, attributes=attributes))


def _note(what: str, trace: str, agent: AgentId | None, session: SessionId, outcome: str) -> None:
    trace_id = trace_id_of(trace) or None
    _log.debug(what, trace_id=trace_id, agent=agent, session=session, outcome=outcome)


def _led_by(agent: Agent) -> _Key | None:
    return (agent.session, agent.doing.id) if agent.doing is not None else None
