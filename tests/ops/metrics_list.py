"""ops/metrics.md as values: what tests hold processes, dashboards and alerts against."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import attrs

PAGE = Path(__file__).parents[2] / "ops" / "metrics.md"
_ROW = re.compile(r"\| `(\w+)` \| (counter|gauge|histogram) \| ([^|]*)\| (.+) \|")


@attrs.frozen
class Listed:
    name: str
    kind: str
    labels: frozenset[str]
    section: str

    @property
    def family(self) -> str:
        """As prometheus_client calls it."""
        return self.name.removesuffix("_total") if self.kind == "counter" else self.name

    @property
    def series(self) -> Mapping[str, frozenset[str]]:
        """What can be asked for: name -> labels."""
        if self.kind != "histogram":
            return {self.name: self.labels}
        return {
            f"{self.name}_bucket": self.labels | {"le"},
            f"{self.name}_sum": self.labels,
            f"{self.name}_count": self.labels,
        }


def listed() -> list[Listed]:
    found, section = [], ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif line.startswith("| `"):
            row = _ROW.fullmatch(line)
            assert row is not None, f"a row that nobody can read: {line}"
            labels = frozenset(re.findall(r"`(\w+)`", row[3]))
            found.append(Listed(row[1], row[2], labels, section))
    return found


def series() -> dict[str, frozenset[str]]:
    """Every series that a process of ours shows, with its labels."""
    return {name: labels for one in listed() for name, labels in one.series.items()}
