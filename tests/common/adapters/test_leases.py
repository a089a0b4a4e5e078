from __future__ import annotations

from trio.abc import Clock

from common.grid import ChunkId, Slot
from tests.common.adapters.bench import HERE, SHORT, SLOT, THERE, Bench, wait_ms

ELSEWHERE = ChunkId("7:7")


async def test_a_slot_is_held_by_one(bench: Bench, clock: Clock) -> None:
    leases = bench.leases()

    assert await leases.acquire(SLOT, "one")

    assert not await leases.acquire(SLOT, "other")
    assert not await leases.renew(SLOT, "other")
    assert await leases.acquire(Slot(2), "other")


async def test_a_lease_runs_out(bench: Bench, clock: Clock) -> None:
    leases = bench.leases()
    await leases.acquire(SLOT, "one")

    await wait_ms(SHORT.lease_ms + 10)

    assert not await leases.renew(SLOT, "one")
    assert await leases.acquire(SLOT, "other")


async def test_a_renewed_lease_lasts_as_long_again(bench: Bench, clock: Clock) -> None:
    leases = bench.leases()
    await leases.acquire(SLOT, "one")

    await wait_ms(SHORT.lease_ms * 0.6)
    assert await leases.renew(SLOT, "one")
    await wait_ms(SHORT.lease_ms * 0.6)

    assert not await leases.acquire(SLOT, "other")


async def test_acquiring_what_one_holds_extends_it(bench: Bench, clock: Clock) -> None:
    """So that an answer that was lost may be asked for again."""
    leases = bench.leases()
    await leases.acquire(SLOT, "one")

    await wait_ms(SHORT.lease_ms * 0.6)
    assert await leases.acquire(SLOT, "one")
    await wait_ms(SHORT.lease_ms * 0.6)

    assert not await leases.acquire(SLOT, "other")


async def test_a_released_slot_is_free_at_once(bench: Bench, clock: Clock) -> None:
    leases = bench.leases()
    await leases.acquire(SLOT, "one")

    await leases.release(SLOT, "one")

    assert await leases.acquire(SLOT, "other")


async def test_nobody_releases_what_is_another_s(bench: Bench, clock: Clock) -> None:
    leases = bench.leases()
    await leases.acquire(SLOT, "one")

    await leases.release(SLOT, "other")

    assert not await leases.acquire(SLOT, "other")


async def test_the_creation_of_chunks_is_claimed_by_one(bench: Bench, clock: Clock) -> None:
    leases = bench.leases()
    assert await leases.claim([HERE, THERE], "one")

    assert not await leases.claim([THERE], "other")
    assert await leases.claim([HERE, THERE], "one")
    assert await leases.claim([ELSEWHERE], "other")


async def test_who_cannot_claim_all_claims_none(bench: Bench, clock: Clock) -> None:
    leases = bench.leases()
    await leases.claim([HERE], "one")

    assert not await leases.claim([THERE, HERE], "other")

    assert await leases.claim([THERE], "one")


async def test_a_claim_runs_out(bench: Bench, clock: Clock) -> None:
    leases = bench.leases()
    await leases.claim([HERE], "one")
    await wait_ms(SHORT.creation_ms + 20)

    assert await leases.claim([HERE], "other")
