from __future__ import annotations

import pytest

from tests.ops.promql import Counted, asked_by, counted_by


def test_series_labels_and_groups_are_told_apart() -> None:
    asked = asked_by(
        'histogram_quantile(0.99, sum by (le, job) (rate(a_bucket{x="y z", w!~"a{b}"}[5m])))'
        " > 2 and on (job) b / ignoring(c) d"
    )
    assert asked.series == {"a_bucket", "b", "d"}
    assert asked.matched == {("a_bucket", "x"), ("a_bucket", "w")}
    assert asked.grouped == {"le", "job", "c"}


def test_a_function_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(ValueError, match="rat is no function"):
        asked_by("rat(a[5m])")


def test_what_is_counted_is_told_one_by_one() -> None:
    assert counted_by("up == 0") == []
    assert counted_by('sum(increase(a_total{b="x", d=~"y|z"}[5m])) > rate(e_total[1m])') == [
        Counted("increase", "a_total", {"b": "x", "d": "y"}),
        Counted("increase", "a_total", {"b": "x", "d": "z"}),
        Counted("rate", "e_total", {}),
    ]


@pytest.mark.parametrize(
    "expression",
    ['increase(a{b!="x"}[5m]) > 0', 'rate(a{b=~"x.*"}[5m]) > 0', "increase(sum(a)[5m:]) > 0"],
)
def test_what_can_not_be_told_one_by_one_is_an_error(expression: str) -> None:
    with pytest.raises(ValueError, match=r"told|not a series"):
        counted_by(expression)
