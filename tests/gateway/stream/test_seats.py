from __future__ import annotations

from contextlib import ExitStack

from gateway.stream.seats import Seats


def test_an_address_has_so_many_seats_and_others_have_theirs() -> None:
    seats = Seats(2, 10)
    with ExitStack() as taken:
        for _ in range(2):
            assert seats.full("a") is None
            taken.enter_context(seats.seat("a"))
        assert seats.full("a") == "address"
        assert seats.full("b") is None
    assert seats.full("a") is None
    assert seats.taken == 0


def test_the_gateway_has_so_many_seats() -> None:
    seats = Seats(0, 2)
    with seats.seat("a"), seats.seat("a"):
        assert seats.full("b") == "gateway"


def test_a_limit_of_nought_is_none() -> None:
    seats = Seats(0, 0)
    with ExitStack() as taken:
        for _ in range(100):
            assert seats.full("a") is None
            taken.enter_context(seats.seat("a"))
