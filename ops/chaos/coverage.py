"""Whether a run has checked anything: a world that does nothing breaks no promise.

No I/O. Judged at the end, by what was injected or changed, offered and compared. A floor is far
below what runs reach (``ops/benchmarks.md``), and far above what a run has that was idle for most
of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from ops.chaos.change import Change
from ops.chaos.findings import Findings
from ops.chaos.injector import Injected, Injector
from ops.chaos.ledger import Entry
from ops.chaos.player import Player
from ops.chaos.record import Held

ACCEPTED_SHARE_MIN = 0.5  # Of what was offered: refused for most of a run is not served.
PACE_SHARE_MIN = 0.2  # Of what agents wanted while nobody was away; a walk alone takes seconds.
RESHAPED_PACE_SHARE_MIN = 0.5  # Without faults nothing is in the way; runs reach 0.8.
WANTED_SHARE_MIN = 0.5  # Of the load, whoever was away: else who is never back wants nothing.
HELD_SHARE_MIN = 0.8

SERVED = "whoever was hit is served again"
INJECTED = "every kind of fault that was drawn is injected"
JUDGED = "a takeover is judged where a holder was killed or stopped"
ACCEPTED = "most of what is offered is accepted"
PACE = "agents get on while nobody is away"
HELD = "most results are held against what was seen"
MEASURED = "each change is measured"
MOVED = "some chunk at work moves"
STAYED = "some chunk at work stays"

Span = tuple[float, float]
"""From and until, seconds since the load began."""


@attrs.frozen
class Coverage:
    seconds: float
    """Of load."""
    spares: int
    injector: Injector
    players: Sequence[Player]
    held: Held
    changes: Sequence[Change] | None = None
    """What was done instead of faults; None: there were faults."""

    @property
    def accepted_share(self) -> float:
        """Of the commands that were offered under load."""
        entries = [entry for player in self.players for entry in self._entries(player)]
        return _share(sum(entry.is_accepted for entry in entries), len(entries))

    @property
    def pace_share(self) -> float:
        """Accepted of those that agents wanted to give while none of their own was away."""
        accepted = wanted = 0.0
        for player in self.players:
            away = absences(player.name, self.injector.injected, self.seconds)
            there = self.seconds - sum(until - since for since, until in away)
            wanted += player.rate * max(there, WANTED_SHARE_MIN * self.seconds)
            accepted += sum(
                entry.is_accepted and not any(since < entry.at <= until for since, until in away)
                for entry in self._entries(player)
            )
        return _share(accepted, wanted)

    @property
    def held_share(self) -> float:
        return _share(self.held.seen, self.held.results)

    def judge(self, findings: Findings) -> None:
        if self.changes is None:
            self._judge_faults(findings)
        else:
            judge_changes(self.changes, findings)
        pace_min = PACE_SHARE_MIN if self.changes is None else RESHAPED_PACE_SHARE_MIN
        for promise, share, least in (
            (ACCEPTED, self.accepted_share, ACCEPTED_SHARE_MIN),
            (PACE, self.pace_share, pace_min),
            (HELD, self.held_share, HELD_SHARE_MIN),
        ):
            if share < least:
                findings.add(promise, "the run", f"{share:.0%}, at least {least:.0%} is needed")

    def _judge_faults(self, findings: Findings) -> None:
        injected = self.injector.injected
        for one in injected:
            if one.waiting:
                details = f"not since {one.fault.kind} of {one.victim}"
                findings.add(SERVED, ", ".join(sorted(one.waiting)), details, one.at)
        for kind in self.injector.skipped.keys() - {one.fault.kind for one in injected}:
            times = self.injector.skipped[kind]
            findings.add(INJECTED, kind, f"drawn {times} times, and never was there a victim")
        killed = [one for one in injected if one.takes_slot]
        if self.spares and killed and not any(map(self.injector.is_judged, killed)):
            details = f"{len(killed)} times a slot was to be taken over, none could be judged"
            findings.add(JUDGED, "the run", f"{details}: take a longer one, or another seed")

    def _entries(self, player: Player) -> Iterator[Entry]:
        for entries in player.ledger.sessions.values():
            for entry in entries.values():
                if 0 < entry.at <= self.seconds:
                    yield entry


def judge_changes(changes: Sequence[Change], findings: Findings) -> None:
    """Nobody was heard before and after: no pause was too long, and none was looked at."""
    for one in changes:
        if not one.moved and not one.staying:
            details = "no chunk was heard shortly before and shortly after"
            findings.add(MEASURED, one.what, details, one.at)
    for promise, counted in (
        (MOVED, sum(len(one.moved) for one in changes)),
        (STAYED, sum(len(one.staying) for one in changes)),
    ):
        if not counted:
            findings.add(promise, "the run", f"none in {len(changes)} changes")


def absences(name: str, injected: Sequence[Injected], seconds: float) -> Sequence[Span]:
    """Return when an agent was away: from each fault that hit it until it was served again."""
    spans = [
        (one.at, min(seconds, one.at + one.served.get(name, seconds)))
        for one in injected
        if one.at < seconds and (name in one.served or name in one.waiting)
    ]
    merged: list[Span] = []
    for since, until in sorted(spans):
        if merged and since <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(until, merged[-1][1]))
        else:
            merged.append((since, until))
    return merged


def _share(part: float, whole: float) -> float:
    """Nothing of nothing is nothing: it was not checked."""
    return part / whole if whole else 0.0
