from __future__ import annotations

import random
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from common.errors import Unavailable
from common.grid import Slot
from ops.chaos.cluster import Cluster, Size
from ops.chaos.faults import Fault, Kind
from ops.chaos.findings import Findings
from ops.chaos.injector import SERVING, TAKEOVER, Injected, Injector
from ops.chaos.leases import Leases
from ops.chaos.ledger import Ledger
from ops.chaos.player import Player
from ops.chaos.takeover import Look
from ops.up import run_folder
from ops.up.run_folder import Running

POSTGRES = Running("postgres", 0, 1, 1)


def an_injector(folder: Path, *running: Running) -> Injector:
    """Of a cluster that consists of ``running``, with one agent."""
    cluster = Cluster(Size(), folder, 0)
    (cluster.data / "run").mkdir(parents=True)
    for one in running:
        run_folder.write(cluster.data / "run", one)
    findings = Findings()
    ada = Player(Ledger("ada", findings, trio.current_time), findings, random.Random(1), 1.0)
    return Injector(cluster, Leases(str, 2, []), [ada], findings, trio.current_time)


async def test_a_fault_without_a_victim_is_counted_by_its_kind(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    injector = an_injector(tmp_path)
    await injector.run([Fault(1.0, "kill redis"), Fault(2.0, "kill redis"), Fault(3.0, "reshard")])

    assert injector.skipped == {"kill redis": 2, "reshard": 1}
    assert injector.injected == []


async def test_what_a_server_is_away_for_is_tried_again(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    async def ask(cluster: Cluster, shard_count: int) -> None:
        await trio.sleep(1)
        asked.append(trio.current_time())
        if len(asked) < 3:
            raise ExceptionGroup("of nurseries", [Unavailable("it is starting")])

    monkeypatch.setattr("ops.chaos.injector.ask_reshard", ask)
    injector = an_injector(tmp_path, POSTGRES)
    await injector.run([Fault(1.0, "reshard", 3)])

    assert len(asked) == 3
    assert injector.skipped.total() == 0
    (done,) = injector.injected
    assert done.at == pytest.approx(asked[1], abs=0.1), "what was in vain does not count"
    injector.ended("ada", sent_at=done.at)
    assert done.waiting == {"ada"}
    injector.ended("ada", sent_at=done.at + 1)
    assert (done.waiting, set(done.served)) == (set(), {"ada"})


def a_kill(at: float, kind: Kind = "kill shard") -> Injected:
    return Injected(Fault(at, kind), at, "shard-0", has_spare=True, takeover=3.0, serving=4.0)


@pytest.mark.parametrize(
    ("kind", "at", "lease", "serving"),
    [
        ("kill gateway", 11.0, True, True),
        ("kill redis", 9.0, False, False),
        ("kill redis", 11.0, False, False),
        ("kill postgres", 13.5, True, False),
        ("reshard", 6.0, True, False),
        ("reshard", 11.0, True, False),
        ("drain shard", 11.0, True, False),
        ("kill shard", 11.0, True, False),
        ("kill shard", 9.0, True, True),
        ("reshard", 14.5, True, True),
    ],
)
def test_a_takeover_counts_where_nothing_else_happened(
    tmp_path: Path, kind: Kind, at: float, *, lease: bool, serving: bool
) -> None:
    injector, done = an_injector(tmp_path), a_kill(10.0)
    injector.injected += [done, a_kill(at, kind)]

    assert (injector.is_judged(done), injector.is_serving_judged(done)) == (lease, serving)


@pytest.mark.parametrize(
    ("taken_at", "served_at", "promises"),
    [(3.0, 4.9, []), (3.0, 6.0, [SERVING]), (6.0, 6.0, [TAKEOVER, SERVING]), (3.0, 99, [SERVING])],
)
async def test_a_slot_that_is_held_too_late_or_served_too_late_is_found(
    tmp_path: Path,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    taken_at: float,
    served_at: float,
    promises: list[str],
) -> None:
    class Later(Leases):
        async def wait_other(self, slot: Slot, holder: str) -> None:
            await trio.sleep_until(1 + taken_at)

        async def wait_over(self, takeover: object) -> None:
            await trio.sleep_until(1 + served_at)

    monkeypatch.setattr("ops.chaos.injector._signal", lambda pid, how: True)
    injector = an_injector(tmp_path, Running("shard", 0, 7, None, name="old"))
    injector.leases = Later(str, 2, [], {Slot(0): "old"}, Look())
    monkeypatch.setattr(Injector, "_has_spare", lambda self, victim: True)
    await injector.run([Fault(1.0, "kill shard", 0)])

    assert [one.promise for one in injector.findings.violations] == promises
