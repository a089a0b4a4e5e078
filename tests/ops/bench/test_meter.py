from __future__ import annotations

import math
import os
from time import process_time

import pytest

from ops.bench.meter import Account, between, bound_of_all, quantile, usage

INF = math.inf


def an_account(*counts: float) -> Account:
    return Account({"h": dict(zip((1.0, 2.0, 4.0, INF), counts, strict=True))}, {})


def test_a_histogram_between_two_moments_has_only_what_came_between() -> None:
    assert between(an_account(5, 5, 6, 6), an_account(5, 9, 10, 11), "h") == {
        1.0: 0, 2.0: 4, 4.0: 4, INF: 5,
    }  # fmt: skip


def test_a_quantile_lies_within_its_bucket() -> None:
    buckets = {1.0: 0.0, 2.0: 10.0, 4.0: 20.0, INF: 20.0}
    assert quantile(buckets, 0.25) == 1.5
    assert quantile(buckets, 0.75) == 3.0


def test_what_is_beyond_all_buckets_is_at_least_the_last_bound() -> None:
    assert quantile({1.0: 0.0, INF: 3.0}, 0.99) == 1.0
    assert bound_of_all({1.0: 0.0, INF: 3.0}) == INF


def test_nothing_has_no_quantile() -> None:
    assert math.isnan(quantile({1.0: 0.0, INF: 0.0}, 0.99))


def test_the_work_of_a_process_is_counted() -> None:
    before, began = usage(os.getpid()), process_time()
    while process_time() - began < 0.1:
        pass
    after = usage(os.getpid())
    assert after.cpu - before.cpu == pytest.approx(0.1, abs=0.05)
    assert after.rss > 1_000_000
