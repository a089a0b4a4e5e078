"""Which trace something belongs to, as W3C Trace Context has it, and spans as values.

Pure: ids are derived or handed in. It exports nothing and logs nothing. The promise: the trace of
a command follows from its session, its id and the ``traceparent`` that its connection came with,
so whoever has these knows it, and an id that is offered again is the same trace again. See
ops/decisions/traces.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, Protocol

import attrs

_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
_SAMPLED = 0x01  # The one flag that level 1 knows.


def read_traceparent(text: str) -> str:
    """Return ``text`` as a ``traceparent`` of version 00, or "" when it is none."""
    return f"00{text[2:]}" if _TRACEPARENT.fullmatch(text) else ""


def traceparent(trace_id: str, span_id: str, *, is_sampled: bool) -> str:
    return f"00-{trace_id}-{span_id}-{'01' if is_sampled else '00'}"


def trace_id_of(trace: str) -> str:
    """Return the trace id in a valid ``traceparent``; "" in none."""
    return trace[3:35]


def span_id_of(trace: str) -> str:
    return trace[36:52]


def is_sampled(trace: str) -> bool:
    """Whether the spans of ``trace`` are exported, as far as anybody exports any."""
    return bool(trace) and bool(int(trace[53:55], 16) & _SAMPLED)


@attrs.frozen
class Sampling:
    """Which share of the traces that begin with us is exported."""

    share: float = 0.0
    heeds_parent: bool = True
    """A trace that somebody began before us is sampled if he says so."""

    def samples(self, trace_id: str, parent: str = "") -> bool:
        """The same in every process: the id decides (its lower half, as OpenTelemetry has it)."""
        if parent and self.heeds_parent:
            return is_sampled(parent)
        return int(trace_id[16:], 16) < self.share * 2**64


NO_SAMPLING = Sampling()


def command_trace(
    session: str, id: str, expires_at_ms: int, parent: str = "", sampling: Sampling = NO_SAMPLING
) -> str:
    """Return the ``traceparent`` of one offer of a command.

    All offers of an id are in one trace, in that of ``parent`` if there is one. Each is a span of
    its own, for a refused id may be offered anew.
    """
    digest = hashlib.blake2b(f"{session} {id}".encode(), digest_size=16).hexdigest()
    # One in 2**64 would be zero, which stands for no span.
    span_id = f"{int(digest[16:], 16) ^ expires_at_ms or 1:016x}"
    trace_id = trace_id_of(parent) or digest
    return traceparent(trace_id, span_id, is_sampled=sampling.samples(trace_id, parent))


Kind = Literal["server", "client", "producer", "consumer", "internal"]
Attribute = str | int | float | bool


@attrs.frozen
class Span:
    """Something that took from ``began_ns`` to ``ended_ns`` (Unix time), within ``parent``.

    ``own`` is its ``traceparent`` when others had to know it; else its id is drawn. Attributes
    are words and numbers of ours: nothing that a client wrote, no secret and no address.
    """

    name: str
    kind: Kind
    began_ns: int
    ended_ns: int
    parent: str = ""
    own: str = ""
    attributes: Mapping[str, Attribute] = attrs.field(factory=dict)
    has_failed: bool = False


class Spans(Protocol):
    """Where spans go. Nothing here waits, and nothing raises."""

    @property
    def is_on(self) -> bool:
        """Whether anything is exported at all."""

    @property
    def sampling(self) -> Sampling: ...

    def now_ns(self) -> int:
        """Unix time."""

    def record(self, span: Span) -> None:
        """Export ``span``, whose trace is sampled; of too many some are dropped, and counted."""

    def within(self, trace: str) -> AbstractContextManager[None]:
        """Count what is asked of Redis and PostgreSQL in the block to ``trace``.

        Tasks that are started in the block inherit it: none that outlives the block may be.
        """


class NoSpans:
    is_on = False
    sampling = NO_SAMPLING

    def now_ns(self) -> int:
        return 0

    def record(self, span: Span) -> None:
        pass

    @contextmanager
    def within(self, trace: str) -> Iterator[None]:
        yield


NO_SPANS = NoSpans()
