from __future__ import annotations

import trio
from trio.testing import MockClock

from shard.emission import Emission
from shard.outbox import Outbox


def an_emission(number: int) -> Emission:
    return Emission(receipts=(str(number),))


async def test_what_was_put_comes_out_in_order_and_all_at_once() -> None:
    outbox = Outbox(10)
    for number in range(5):
        outbox.put(an_emission(number))
    assert await outbox.take(3) == [an_emission(n) for n in range(3)]
    assert await outbox.take(3) == [an_emission(n) for n in range(3, 5)]


async def test_a_closed_outbox_hands_out_what_is_left_and_then_nothing() -> None:
    outbox = Outbox(10)
    outbox.put(an_emission(1))
    outbox.close()
    outbox.put(an_emission(2))
    assert await outbox.take(9) == [an_emission(1)]
    assert await outbox.take(9) == []


async def test_who_makes_new_work_waits_for_room(autojump_clock: MockClock) -> None:
    outbox = Outbox(2)
    outbox.put(an_emission(1))
    outbox.put(an_emission(2))
    with trio.move_on_after(5) as scope:
        await outbox.wait_room()
    assert scope.cancelled_caught
    await outbox.take(1)
    with trio.fail_after(5):
        await outbox.wait_room()
