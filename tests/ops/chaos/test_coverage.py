"""A run that checked nothing, in one way after the other, and that it is said."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest

from common.frames import Ack, CommandRequest
from common.grid import CommandId, Tick
from ops.chaos.change import Change
from ops.chaos.cluster import Cluster, Size
from ops.chaos.coverage import (
    ACCEPTED,
    HELD,
    INJECTED,
    JUDGED,
    MEASURED,
    MOVED,
    PACE,
    SERVED,
    STAYED,
    Coverage,
    absences,
)
from ops.chaos.faults import Fault, Kind
from ops.chaos.findings import Findings
from ops.chaos.injector import Injected, Injector
from ops.chaos.leases import Leases
from ops.chaos.ledger import Ledger
from ops.chaos.player import Player
from ops.chaos.record import Held
from tests.ops.chaos.test_ledger import a_greeting

SECONDS, RATE = 100.0, 1.0


@attrs.define
class Clock:
    at: float = 0.0

    def now(self) -> float:
        return self.at


def a_player(*, accepted: range = range(1, 100), refused: range = range(0)) -> Player:
    """Who offered a command at each of these seconds."""
    clock, findings = Clock(), Findings()
    ledger = Ledger("ada", findings, clock.now)
    ledger.heard(a_greeting())
    seq = 0
    for at in sorted({*accepted, *refused}):
        clock.at, id = at, CommandId(f"c-{at}")
        ledger.sent(CommandRequest(id, {"name": "wait", "ticks": 1}))
        if at in accepted:
            seq += 1
            ledger.heard(Ack(id, "accepted", tick=Tick(at), seq=seq))
        else:
            ledger.heard(Ack(id, "rejected", code="unavailable"))
    return Player(ledger, findings, random.Random(1), RATE)


def a_kill(
    at: float = 10.0,
    kind: Kind = "kill shard",
    *,
    has_spare: bool = True,
    served: dict[str, float] | None = None,
    waiting: set[str] | None = None,
) -> Injected:
    kill = Injected(Fault(at, kind), at, "shard-0", has_spare, takeover=3.0)
    kill.served, kill.waiting = served or {}, waiting or set()
    return kill


def an_injector(
    *injected: Injected, skipped: dict[Kind, int] | None = None, players: tuple[Player, ...] = ()
) -> Injector:
    cluster = Cluster(Size(), Path(), 0)
    injector = Injector(cluster, Leases(str, 2, []), players, Findings(), Clock().now)
    injector.injected += injected
    injector.skipped.update(skipped or {})
    return injector


def a_change(*, moved: int = 0, stayed: int = 0) -> Change:
    """So many chunks were seen to move and to stay."""
    return Change("2 to 4 shards", 10.0, 1.0, [0.4] * moved, [0.0] * stayed)


def found(
    *injected: Injected,
    player: Player | None = None,
    held: Held | None = None,
    skipped: dict[Kind, int] | None = None,
    spares: int = 1,
    changes: Sequence[Change] | None = None,
) -> set[str]:
    findings = Findings()
    players = [player or a_player()]
    held = held or Held(seen=90, results=100)
    injector = an_injector(*injected, skipped=skipped)
    Coverage(SECONDS, spares, injector, players, held, changes).judge(findings)
    return {violation.promise for violation in findings.violations}


def test_a_run_that_checked_what_it_should_is_not_complained_of() -> None:
    assert found(a_kill(served={"ada": 4.0})) == set()
    assert found() == set(), "without faults there is nothing to recover from"


def test_who_was_hit_and_never_served_again_is_found() -> None:
    assert found(a_kill(waiting={"ada"})) == {SERVED}


def test_a_kind_that_was_drawn_and_never_injected_is_found() -> None:
    assert found(skipped={"kill redis": 1}) == {INJECTED}
    assert found(a_kill(), skipped={"kill shard": 3}) == set(), "some others had a victim"


@pytest.mark.parametrize("kind", ["kill shard", "pause shard"])
def test_holders_that_were_killed_and_no_takeover_that_was_judged_are_found(kind: Kind) -> None:
    outage = a_kill(11.0, "kill redis")
    assert found(a_kill(kind=kind), outage) == {JUDGED}
    assert found(a_kill(kind=kind, has_spare=False)) == {JUDGED}
    assert found(a_kill(kind=kind), outage, a_kill(50.0)) == set()
    assert found(a_kill(kind=kind, has_spare=False), spares=0) == set(), "none was asked for"


def test_what_was_refused_for_most_of_the_run_is_found() -> None:
    mostly = a_player(accepted=range(1, 40), refused=range(40, 100))
    assert found(player=mostly) == {ACCEPTED}
    assert found(player=a_player(accepted=range(40, 100), refused=range(1, 40))) == set()


def test_agents_that_hardly_did_anything_are_found() -> None:
    assert found(player=a_player(accepted=range(1, 19))) == {PACE}
    assert found(player=a_player(accepted=range(0))) == {ACCEPTED, PACE}


def test_an_agent_that_was_away_most_of_the_time_still_wanted_something() -> None:
    away = a_kill(served={"ada": 88.0})
    assert found(away, player=a_player(accepted=range(1, 10))) == {PACE}
    assert found(away, player=a_player(accepted=range(10, 98))) == {PACE}, "done while it was away"


def test_an_agent_is_not_blamed_for_the_time_that_it_was_away() -> None:
    away = a_kill(served={"ada": 45.0})
    assert found(away, player=a_player(accepted=range(60, 75))) == set()
    assert found(player=a_player(accepted=range(60, 75))) == {PACE}


def test_results_that_could_not_be_held_against_anything_are_found() -> None:
    assert found(held=Held(seen=79, results=100)) == {HELD}
    assert found(held=Held()) == {HELD}


def test_changes_after_which_something_had_moved_and_something_stayed_are_enough() -> None:
    assert found(changes=[a_change(moved=1), a_change(stayed=1)]) == set()


def test_changes_after_which_nothing_moved_or_nothing_stayed_are_found() -> None:
    assert found(changes=[a_change(stayed=9), a_change(stayed=9)]) == {MOVED}
    assert found(changes=[a_change(moved=9), a_change(moved=9)]) == {STAYED}
    assert found(changes=[]) == {MOVED, STAYED}


def test_a_change_of_which_nothing_was_measured_is_found_beside_others() -> None:
    assert found(changes=[a_change(moved=1, stayed=1), a_change()]) == {MEASURED}


def test_while_shards_change_and_nobody_is_away_agents_get_on_at_half_of_their_pace() -> None:
    changes = [a_change(moved=1, stayed=1)]
    assert found(player=a_player(accepted=range(1, 50)), changes=changes) == {PACE}
    assert found(player=a_player(accepted=range(1, 51)), changes=changes) == set()


def test_an_agent_is_away_from_what_hit_it_until_it_was_served() -> None:
    hits = [
        a_kill(10.0, served={"ada": 5.0, "bob": 1.0}),
        a_kill(12.0, served={"ada": 6.0}),
        a_kill(30.0, served={"ada": 1.0}),
        a_kill(95.0, waiting={"ada"}),
    ]
    assert absences("ada", hits, SECONDS) == [(10.0, 18.0), (30.0, 31.0), (95.0, 100.0)]
    assert absences("bob", hits, SECONDS) == [(10.0, 11.0)]
    assert absences("cid", hits, SECONDS) == []
