"""Trouble: what went wrong outside of us, in three words that a policy can act on.

Pure. Adapters map every foreign error to one of these, once, at the edge. A refusal is
no trouble (it is a value); a bug is an assertion and ends the process.
"""

from __future__ import annotations


class Trouble(Exception):
    """Something outside failed. The message says what was being done, with what, and what helps."""


class Unavailable(Trouble):
    """It was not done, and it is known that it was not done: asking again is safe."""


class InDoubt(Trouble):
    """Nobody knows whether it was done: only what is idempotent may be asked again."""


class Misconfigured(Trouble):
    """The operator must change something. Shown as one line, with exit code 2."""
