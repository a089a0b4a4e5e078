"""The id under which a request is found in the log: the caller's trace, or a fresh one.

Pure but for the randomness of a fresh id. Reads W3C Trace Context, level 1; starts no spans.
"""

from __future__ import annotations

import re
import secrets

_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)


def trace_id_of(traceparent: str) -> str:
    """Return the trace id in a valid ``traceparent``, else a fresh one: 32 hexadecimal digits."""
    match = _TRACEPARENT.fullmatch(traceparent)
    return match[1] if match else secrets.token_hex(16)
