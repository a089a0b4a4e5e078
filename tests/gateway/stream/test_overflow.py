from __future__ import annotations

from gateway.stream.overflow import Overflows


def test_the_third_overflow_within_a_minute_is_one_too_many() -> None:
    twice = Overflows().again(100.0).again(130.0)
    assert not twice.are_too_many
    assert twice.again(159.9).are_too_many


def test_overflows_of_more_than_a_minute_ago_are_forgotten() -> None:
    assert not Overflows().again(100.0).again(130.0).again(160.0).are_too_many
