from __future__ import annotations

import pytest

from tests.ops.promql import asked_by


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
