"""What was found to be wrong, with enough to look into it. Keeps nothing else, decides nothing."""

from __future__ import annotations

import attrs


@attrs.frozen
class Violation:
    promise: str
    """Which promise was broken, in the words of the protocol."""
    subject: str
    """The session, agent or chunk."""
    details: str
    at: float | None = None
    """Seconds since the load began; None when it was found at the end."""


@attrs.define
class Findings:
    violations: list[Violation] = attrs.field(factory=list)

    def add(self, promise: str, subject: str, details: str, at: float | None = None) -> None:
        self.violations.append(Violation(promise, subject, details, at))
