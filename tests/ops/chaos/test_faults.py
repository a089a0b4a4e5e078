from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from common.limits import LEASE_MS
from ops.chaos.faults import KINDS, draw_faults


def test_a_seed_always_draws_the_same() -> None:
    assert draw_faults(7, 600, 2, 2) == draw_faults(7, 600, 2, 2)
    assert draw_faults(7, 600, 2, 2) != draw_faults(8, 600, 2, 2)


def test_a_longer_run_begins_like_a_shorter_one() -> None:
    short = draw_faults(7, 60, 2, 2)

    assert draw_faults(7, 600, 2, 2)[: len(short)] == short


@given(st.integers())
def test_every_kind_comes_as_often_as_every_other(seed: int) -> None:
    counts = Counter(fault.kind for fault in draw_faults(seed, 600, 2, 2))

    assert set(counts) == set(KINDS)
    assert max(counts.values()) - min(counts.values()) <= 1


@given(st.integers(), st.floats(5, 600))
def test_faults_are_over_when_the_load_is(seed: int, seconds: float) -> None:
    for fault in draw_faults(seed, seconds, 2, 2):
        assert 0 < fault.at <= fault.at + fault.seconds < seconds


@given(st.integers())
def test_a_pause_outlasts_the_lease(seed: int) -> None:
    pauses = [fault for fault in draw_faults(seed, 100, 2, 2) if fault.kind == "pause shard"]

    assert pauses
    assert all(fault.seconds > LEASE_MS / 1000 for fault in pauses)
