from __future__ import annotations

import pytest
import trio

from ops.simulate.scheduler import Scheduler, belong_to, run_seeded


def test_tasks_of_a_stopped_process_stand_still_until_it_goes_on() -> None:
    async def main(scheduler: Scheduler) -> list[float]:
        times: list[float] = []

        async def process() -> None:
            belong_to("p")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(tick)  # What it starts belongs to it, too.

        async def tick() -> None:
            while len(times) < 5:
                await trio.sleep(1)
                times.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(process)
            await trio.sleep(2.5)
            scheduler.stop("p")
            assert scheduler.is_stopped("p")
            await trio.sleep(10)
            scheduler.go_on("p")
        return times

    assert run_seeded("1", main) == [1, 2, 12.5, 13.5, 14.5]


def test_tasks_that_go_round_in_circles_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.simulate.scheduler.ROUNDS_MAX", 500)

    async def main(scheduler: Scheduler) -> int:
        found = 0
        with trio.CancelScope() as scope:

            def on_standstill() -> None:
                nonlocal found
                found += 1
                scope.cancel()

            scheduler.on_standstill = on_standstill
            for _ in range(400):
                await trio.lowlevel.checkpoint()
            await trio.sleep(1)
            for _ in range(400):
                await trio.lowlevel.checkpoint()
            assert found == 0, "it went on in between"
            while True:
                await trio.lowlevel.checkpoint()
        return found

    assert run_seeded("1", main) == 1


def test_the_order_of_tasks_follows_from_the_seed() -> None:
    async def main(_: Scheduler) -> str:
        order: list[str] = []

        async def note(name: str) -> None:
            for _ in range(3):
                await trio.lowlevel.checkpoint()
                order.append(name)

        async with trio.open_nursery() as nursery:
            for name in "abcdefgh":
                nursery.start_soon(note, name)
        return "".join(order)

    assert run_seeded("1", main) == run_seeded("1", main)
    assert run_seeded("1", main) != run_seeded("2", main)


def test_time_stands_still_while_anybody_can_run_and_is_the_next_deadline_when_all_wait() -> None:
    async def main(_: Scheduler) -> list[float]:
        times: list[float] = []

        async def wait(seconds: float) -> None:
            await trio.sleep(seconds)
            times.append(trio.current_time())
            for _ in range(9):
                await trio.lowlevel.checkpoint()
            times.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            for seconds in (1e9, 0.2, 0.9):
                nursery.start_soon(wait, seconds)
        return times

    assert run_seeded("1", main) == [0.2, 0.2, 0.9, 0.9, 1e9, 1e9]
