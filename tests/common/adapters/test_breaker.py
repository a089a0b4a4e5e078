from __future__ import annotations

from common.adapters.breaker import Breaker


def a_breaker(*, failures: int = 0, at: float = 0.0) -> Breaker:
    breaker = Breaker(failures_max=3, open_seconds=1.0)
    for _ in range(failures):
        breaker.failed(at)
    return breaker


def test_it_lets_everything_pass_until_too_much_failed() -> None:
    assert a_breaker().allows(0)
    assert a_breaker(failures=2).allows(0)
    assert not a_breaker(failures=3).allows(0)


def test_only_failures_in_a_row_count() -> None:
    breaker = a_breaker(failures=2)

    breaker.succeeded()
    breaker.failed(0)

    assert breaker.allows(0)


def test_after_a_while_one_probe_may_pass() -> None:
    breaker = a_breaker(failures=3, at=5)

    assert not breaker.allows(5.9)
    assert breaker.allows(6)
    assert not breaker.allows(6)


def test_a_probe_that_succeeds_closes_it() -> None:
    breaker = a_breaker(failures=3)
    assert breaker.allows(1)

    breaker.succeeded()

    assert breaker.allows(1)
    assert breaker.allows(1)


def test_a_probe_that_fails_keeps_it_open() -> None:
    breaker = a_breaker(failures=3)
    assert breaker.allows(1)

    breaker.failed(1.5)

    assert not breaker.allows(2.4)
    assert breaker.allows(2.5)


def test_a_probe_that_never_reports_holds_nobody_up_for_long() -> None:
    breaker = a_breaker(failures=3)

    assert breaker.allows(1)

    assert not breaker.allows(1.9)
    assert breaker.allows(2)


def test_it_says_whether_a_probe_is_out() -> None:
    breaker = a_breaker(failures=3)
    assert not breaker.is_probing

    breaker.allows(1)
    assert breaker.is_probing

    breaker.failed(1)
    assert not breaker.is_probing
