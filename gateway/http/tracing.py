"""The trace of a request: the caller's, or one that begins here.

Pure but for the randomness of fresh ids. What is read is W3C Trace Context, level 1; see
``common.traces``. ``tracestate`` is not looked at, and not passed on.
"""

from __future__ import annotations

import secrets

import attrs

from common.traces import NO_SAMPLING, Sampling, read_traceparent, trace_id_of, traceparent


@attrs.frozen
class Call:
    """``trace`` is the ``traceparent`` of what we do; ``parent`` the caller's, or ""."""

    trace: str
    parent: str

    @property
    def trace_id(self) -> str:
        """Under which the request is found in the log."""
        return trace_id_of(self.trace)


def call_of(header: str, sampling: Sampling = NO_SAMPLING) -> Call:
    """Return the trace that a request with this ``traceparent`` (or "") belongs to."""
    parent = read_traceparent(header)
    trace_id = trace_id_of(parent) or secrets.token_hex(16)
    sampled = sampling.samples(trace_id, parent)
    return Call(traceparent(trace_id, secrets.token_hex(8), is_sampled=sampled), parent)


def trace_id_for(header: str) -> str:
    """Return the trace id alone, where no span is made: 32 hexadecimal digits."""
    return trace_id_of(read_traceparent(header)) or secrets.token_hex(16)
