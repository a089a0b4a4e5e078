from __future__ import annotations

import io
import math

from rich.console import Console

from ops.bench.outcome import Figure, missed, percentile, show


def test_a_figure_beyond_its_target_is_missed_and_one_without_a_target_never() -> None:
    slow = Figure("a", "slow", 21.0, "ms", most=20.0)
    few = Figure("a", "few", 3.0, least=4.0)
    figures = [slow, few, Figure("a", "at the edge", 20.0, most=20.0), Figure("a", "free", 1e9)]
    assert missed(figures) == [slow, few]


def test_what_nobody_could_measure_meets_no_target() -> None:
    nothing = Figure("a", "p99", percentile([], 99), "ms", most=1.0)
    assert math.isnan(nothing.value)
    assert missed([nothing]) == [nothing]


def test_percentiles_are_measured_values() -> None:
    assert [percentile(range(1, 101), percent) for percent in (0, 50, 99, 100)] == [1, 50, 99, 100]


def test_the_table_says_what_was_missed() -> None:
    told = io.StringIO()
    show([Figure("a", "slow", 21.0, "ms", most=20.0)], Console(file=told, width=120), "a title")
    assert "MISSED" in told.getvalue()
    assert "at most 20 ms" in told.getvalue()
