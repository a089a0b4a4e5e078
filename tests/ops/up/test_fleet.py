"""As many shard processes as the topology asks for; shells stand for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs

from common.topology import Topologies, Topology
from ops.up.child import Spec, give_birth
from ops.up.fleet import Fleet, a_fleet, slots_of

STUBBORN = "trap '' TERM; echo born; while :; do sleep 0.05; done"
CUT_OFF = STUBBORN.replace("''", "'sleep 0.3; echo cut off; exit'")


def a_shell(script: str) -> Callable[[int], Spec]:
    return lambda number: Spec("shell", number, ("/bin/sh", "-c", script))


async def _settled(fleet: Fleet, numbers: set[int]) -> None:
    with trio.fail_after(10):
        while {keeper.spec.n for keeper in fleet.keepers} != numbers:
            await trio.sleep(0.01)


def _say_nothing(name: str, line: bytes) -> None:
    pass


async def test_it_starts_what_is_missing_and_drains_what_is_too_much(tmp_path: Path) -> None:
    async with a_fleet(
        2,
        1,
        a_shell("exec sleep 60"),
        tmp_path,
        _say_nothing,
        give_birth,
        lambda: trio.current_time() + 5,
        5,
    ) as fleet:
        await _settled(fleet, {0, 1, 2})
        fleet.match(4)
        await _settled(fleet, {0, 1, 2, 3, 4})
        fleet.match(1)
        fleet.match(1)
        await _settled(fleet, {0, 1})
        fleet.match(2)
        await _settled(fleet, {0, 1, 2})
    assert not [keeper for keeper in fleet.keepers if keeper.child is not None]


async def told_to_drain(script: str, folder: Path, drain_seconds: float) -> Sequence[str]:
    """What one of two shells says, when it is told to end, and what is said of it."""
    heard: list[str] = []
    with trio.fail_after(20), capture_logs() as lines:
        async with a_fleet(
            2,
            0,
            a_shell(script),
            folder,
            lambda name, line: heard.append(line.decode()),
            give_birth,
            lambda: trio.current_time() + 1,
            drain_seconds,
        ) as fleet:
            while heard != ["born", "born"]:
                await trio.sleep(0.01)
            fleet.match(1)
            await _settled(fleet, {0})
            warnings = [line["event"] for line in lines if line["log_level"] == "warning"]
            return [*heard[2:], *warnings]


async def test_one_that_drains_for_too_long_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.up.fleet.EXIT_SECONDS", 0.1)
    assert await told_to_drain(STUBBORN, tmp_path, 0.2) == ["it did not end in time and is killed"]


async def test_one_that_cuts_itself_off_when_its_time_is_over_has_its_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.up.fleet.EXIT_SECONDS", 5.0)  # However busy the machine is.
    assert await told_to_drain(CUT_OFF, tmp_path, 0.1) == ["cut off"]


def test_before_a_change_there_are_processes_for_those_of_before_and_of_after() -> None:
    two, four = Topology(1, 2), Topology(2, 4)
    assert slots_of(Topologies(two, two)) == 2
    assert slots_of(Topologies(two, four)) == slots_of(Topologies(four, two)) == 4
