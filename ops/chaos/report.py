"""What a run of chaos tells the person who started it: tables, and what to look into.

It only draws; what counts as wrong was decided before.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import attrs
from rich.console import Console
from rich.table import Table

from ops.chaos.change import Change
from ops.chaos.chronicle import Chronicle
from ops.chaos.coverage import Coverage
from ops.chaos.faults import KINDS
from ops.chaos.findings import Findings
from ops.chaos.injector import Injected, Injector
from ops.chaos.ledger import Entry
from ops.chaos.player import Player
from ops.chaos.witness import Witness

SHOWN_MAX = 20  # Violations in full; one broken promise can break a thousand times.


@attrs.frozen
class Story:
    """All that a run has to tell."""

    seed: int
    seconds: float
    """Of load, without starting and settling."""
    injector: Injector
    players: Sequence[Player]
    witnesses: Sequence[Witness]
    chronicle: Chronicle
    findings: Findings
    coverage: Coverage
    kept: Path
    changes: Sequence[Change] = ()


def show(story: Story, console: Console) -> None:
    what = (_changes(story),) if story.changes else (_faults(story), _kinds(story))
    for table in (*what, _outcomes(story), _streams(story)):
        console.print(table)
    _verdict(story, console)


def _changes(story: Story) -> Table:
    table = Table(
        title="What was changed",
        caption="Pauses: last tick before to first tick after. Seen: from outside, of chunks at"
        " work; told: by the shards, of those that moved.",
    )
    for column in ("change", "took", "moved", "p50", "p99", "max", "stayed", "lost", "told p99"):
        table.add_column(column, justify="left" if column == "change" else "right")
    for one in story.changes:
        table.add_row(
            one.what,
            f"{one.seconds:.1f} s",
            str(len(one.moved)),
            _milliseconds(percentile(one.moved, 50)),
            _milliseconds(percentile(one.moved, 99)),
            _milliseconds(max(one.moved, default=None)),
            str(len(one.staying)),
            _milliseconds(max(one.staying, default=None)),
            _milliseconds(max((told.p99_ms / 1000 for told in one.told), default=None)),
        )
    return table


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.0f} ms"


def _faults(story: Story) -> Table:
    table = Table(title=f"What was injected, seed {story.seed}")
    columns = ("at", "fault", "victim", "taken over", "served", "agents hit", "median", "slowest")
    for column in columns:
        table.add_column(column, justify="left" if column in ("fault", "victim") else "right")
    for one in story.injector.injected:
        pause = f" for {one.fault.seconds:.1f} s" if one.fault.seconds else ""
        table.add_row(
            f"{one.at:.1f} s",
            one.fault.kind + pause,
            one.victim,
            _taken(one, one.takeover, story.injector.is_judged(one)),
            _taken(one, one.serving, story.injector.is_serving_judged(one)),
            str(len(one.recoveries) + len(one.waiting)),
            _seconds(percentile(one.recoveries, 50)),
            _seconds(max(one.recoveries, default=None)),
        )
    return table


def _taken(one: Injected, seconds: float | None, is_judged: bool) -> str:
    if not one.takes_slot:
        return ""
    return _seconds(seconds) if is_judged else f"({_seconds(seconds)})"


def _kinds(story: Story) -> Table:
    table = Table(
        title="Until agents were served again",
        caption="Takeover: another process holds the slot; served: it publishes, or beats with"
        " somebody in its chunks. In brackets above: not judged, for there was no spare, a server"
        " was away, or more happened to slots meanwhile."
        f" {story.injector.skipped.total()} faults found no victim.",
    )
    for column in (
        "fault", "times", "p50", "p90", "p99", "max", "takeover p50", "max", "served p50", "max",
    ):  # fmt: skip
        table.add_column(column, justify="left" if column == "fault" else "right")
    for kind in KINDS:
        mine = [one for one in story.injector.injected if one.fault.kind == kind]
        times = [time for one in mine for time in one.recoveries]
        figures = [percentile(times, p) for p in (50, 90, 99, 100)]
        for taken in _judged(mine, story.injector):
            figures += [percentile(taken, p) for p in (50, 100)]
        table.add_row(kind, str(len(mine)), *map(_seconds, figures))
    return table


def _judged(mine: Sequence[Injected], injector: Injector) -> tuple[Sequence[float], ...]:
    """Takeovers, and until what was taken over was served; those that count."""
    takeovers = [one.takeover for one in mine if one.takeover and injector.is_judged(one)]
    serving = [one.serving for one in mine if one.serving and injector.is_serving_judged(one)]
    return takeovers, serving


def _outcomes(story: Story) -> Table:
    table = Table(title="Commands by outcome")
    table.add_column("command")
    outcomes: dict[str, Counter[str]] = {}
    accepted = 0
    for player in story.players:
        for entries in player.ledger.sessions.values():
            for entry in entries.values():
                outcomes.setdefault(entry.command["name"], Counter())[_outcome(entry)] += 1
                accepted += entry.is_accepted
    columns = sorted({outcome for counts in outcomes.values() for outcome in counts})
    for column in (*columns, "all"):
        table.add_column(column, justify="right")
    for name, counts in sorted(outcomes.items()):
        table.add_row(name, *(str(counts[column]) for column in columns), str(counts.total()))
    total = sum(counts.total() for counts in outcomes.values())
    table.caption = (
        f"{total / story.seconds:.0f} commands a second over {story.seconds:.0f} s,"
        f" {accepted / story.seconds:.0f} of them accepted"
    )
    return table


def _outcome(entry: Entry) -> str:
    if entry.result is not None:
        return entry.result.reason or entry.result.status
    if entry.ack is not None:
        return f"rejected: {entry.ack.code}" if entry.ack.code else "no result"
    return "given up before its ack"


def _streams(story: Story) -> Table:
    table = Table(title="What was checked")
    table.add_column("")
    table.add_column("", justify="right")
    ledgers = [player.ledger for player in story.players]
    gaps = sum(len(gaps) for witness in story.witnesses for gaps in witness.gaps.values())
    rows = {
        "agents": len(ledgers),
        "sessions": sum(len(ledger.sessions) for ledger in ledgers),
        "resumed connections": sum(ledger.resumed for ledger in ledgers),
        "deltas seen": story.chronicle.deltas,
        "sayings heard": len(story.chronicle.said),
        "spectators": len(story.witnesses),
        "their resumed connections": sum(witness.resumes for witness in story.witnesses),
        "resyncs they were told": sum(witness.resyncs for witness in story.witnesses),
        "chunks shown anew after one": gaps,
    }
    for name, value in rows.items():
        table.add_row(name, str(value))
    coverage, held = story.coverage, story.coverage.held
    share = f"{held.seen} of {held.results}, {coverage.held_share:.1%}"
    table.add_row("results held against what was seen", share)
    table.add_row("accepted of what was offered", f"{coverage.accepted_share:.1%}")
    table.add_row("of what was wanted while nobody was away", f"{coverage.pace_share:.1%}")
    return table


def _verdict(story: Story, console: Console) -> None:
    violations = story.findings.violations
    if not violations:
        console.print("No violation.")
        return
    table = Table(title=f"{len(violations)} violations")
    for column in ("at", "promise", "who", "what"):
        table.add_column(column, overflow="fold")
    for one in violations[:SHOWN_MAX]:
        table.add_row(_seconds(one.at), one.promise, one.subject, one.details)
    console.print(table)
    for promise, count in Counter(one.promise for one in violations).items():
        console.print(f"{count:5} x {promise}")
    console.print(f"Seed {story.seed}. Data and logs are kept in {story.kept}")


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return the nearest-rank percentile; None of nothing."""
    ranked = sorted(values)
    if not ranked:
        return None
    return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)]


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"
