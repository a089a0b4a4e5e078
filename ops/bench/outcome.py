"""What a case found, beside what was promised; and the table of it.

Pure but for the printing. A figure without a target is there to make the others believable.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import attrs
from rich.console import Console
from rich.table import Table


@attrs.frozen
class Figure:
    """``value`` is judged by ``most`` and ``least``; None: by nothing."""

    case: str
    what: str
    value: float
    unit: str = ""
    most: float | None = None
    least: float | None = None

    @property
    def is_judged(self) -> bool:
        return self.most is not None or self.least is not None

    @property
    def is_met(self) -> bool:
        """A figure that nobody could measure (NaN) meets nothing."""
        high = self.most is None or self.value <= self.most
        low = self.least is None or self.value >= self.least
        return high and low

    @property
    def target(self) -> str:
        if self.most is not None:
            return f"at most {_number(self.most)} {self.unit}"
        if self.least is not None:
            return f"at least {_number(self.least)} {self.unit}"
        return ""


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the nearest-rank percentile; NaN of nothing."""
    ranked = sorted(values)
    if not ranked:
        return math.nan
    return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)]


def missed(figures: Iterable[Figure]) -> list[Figure]:
    return [figure for figure in figures if not figure.is_met]


def show(figures: Sequence[Figure], console: Console, title: str) -> None:
    """Print all, case by case."""
    table = Table("case", "figure", "measured", "target", "", title=title)
    table.columns[2].justify = table.columns[3].justify = "right"
    last = ""
    for figure in figures:
        if figure.case != last and last:
            table.add_section()
        verdict = ("met" if figure.is_met else "MISSED") if figure.is_judged else ""
        value = f"{_number(figure.value)} {figure.unit}".strip()
        case = figure.case if figure.case != last else ""
        table.add_row(case, figure.what, value, figure.target, verdict)
        last = figure.case
    console.print(table)


def _number(value: float) -> str:
    if math.isnan(value):
        return "none"
    digits = 0 if abs(value) >= 100 or value == int(value) else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"
