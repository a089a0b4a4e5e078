"""When a reshard or a drain is done, and what is said until then."""

from __future__ import annotations

import io
from typing import Any

import attrs
import pytest
from rich.console import Console

from common.errors import Misconfigured, Trouble, Unavailable
from ops.operate import following
from ops.operate.following import draining, resharding


def a_slot(number: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "slot": number, "in_force": True, "shard": f"shard-{number}", "waiting": 0, "epoch": 2,
        "chunks": 3, "agents": 4, "lateness_p50_ms": 0.5, "lateness_p99_ms": 9.0, "leaving": 0,
        "draining": False, "moved": None,
    } | more  # fmt: skip


def a_topology(*slots: dict[str, Any], **more: Any) -> dict[str, Any]:
    shards = [
        {"shard": name, "slots": [], "chunks": 0, "draining": False}
        for name in {slot["shard"] for slot in slots if slot["shard"]}
    ]
    return {
        "epoch": 2, "shard_count": len(slots), "wanted": None, "slots": list(slots),
        "shards": shards,
    } | more  # fmt: skip


PAUSES = {"epoch": 2, "chunks": 5, "p50_ms": 10.0, "p99_ms": 80.0, "max_ms": 90.0}


def test_a_reshard_is_done_when_every_slot_goes_by_it_and_has_handed_over() -> None:
    assert resharding(a_topology(a_slot(0), a_slot(1)), 2, 2).is_done


@pytest.mark.parametrize(
    ("topology", "said"),
    [
        (
            a_topology(a_slot(0), epoch=1, wanted={"epoch": 2, "shard_count": 2}, shard_count=1),
            "1 of 2 slots are held",
        ),
        (a_topology(a_slot(0), a_slot(1, leaving=7)), "7 chunks to hand over"),
        (a_topology(a_slot(0), a_slot(1, epoch=1)), "not yet ready: 1"),
        (a_topology(a_slot(0), a_slot(1, shard=None, epoch=None)), "not yet ready: 1"),
        (a_topology(a_slot(0), a_slot(1, epoch=None)), "not yet ready: 1"),
        (
            a_topology(a_slot(0), a_slot(1), a_slot(2, in_force=False), shard_count=2),
            "not yet ready: 2",
        ),
    ],
)
def test_it_is_not_done_before(topology: dict[str, Any], said: str) -> None:
    progress = resharding(topology, 2, 2)
    assert not progress.is_done
    assert said in progress.what


def test_a_slot_beyond_the_count_is_done_with_when_it_is_empty() -> None:
    empty = a_slot(2, in_force=False, chunks=0)
    assert resharding(a_topology(a_slot(0), a_slot(1), empty, shard_count=2), 2, 2).is_done


def test_a_reshard_that_somebody_replaced_is_given_up() -> None:
    with pytest.raises(Misconfigured, match="asked for 5"):
        resharding(a_topology(a_slot(), wanted={"epoch": 3, "shard_count": 5}), 2, 2)
    with pytest.raises(Misconfigured, match="asked for 1"):
        resharding(a_topology(a_slot(), epoch=3), 2, 2)


def test_a_drain_is_done_when_its_process_is_gone_and_its_slot_is_held() -> None:
    before = a_topology(a_slot(0, shard="old", draining=True), a_slot(1, shard="old"))
    assert "slot 0, 1 with 6 chunks" in draining(before, 0, "old").what
    handed = a_topology(a_slot(0, shard="new"))
    handed["shards"].append({"shard": "old", "slots": [], "chunks": 0, "draining": True})
    assert "ends" in draining(handed, 0, "old").what
    assert "nobody has taken slot 0" in draining(a_topology(a_slot(0, shard=None)), 0, "old").what
    assert draining(a_topology(a_slot(0, shard="new")), 0, "old").is_done


@attrs.define
class Scripted:
    """An API that answers one after the other, and then the last one for ever."""

    answers: list[Any]
    asked: list[tuple[str, str, Any]] = attrs.field(factory=list)

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        self.asked.append((method, path, body))
        return {"epoch": 2, "shard_count": 2}

    async def get(self, _path: str) -> Any:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Trouble):
            raise answer
        return answer


def a_console() -> tuple[Console, io.StringIO]:
    said = io.StringIO()
    return Console(file=said, width=200), said


async def test_a_reshard_is_shown_until_it_is_done_with_the_measured_pauses(
    autojump_clock: object,
) -> None:
    wanted = {"epoch": 2, "shard_count": 2}
    api: Any = Scripted(
        [
            a_topology(a_slot(0), epoch=1, wanted=wanted, shard_count=1),
            Unavailable("a gateway is restarted"),
            a_topology(a_slot(0, leaving=5), a_slot(1)),
            a_topology(a_slot(0), a_slot(1)),
            a_topology(a_slot(0), a_slot(1, moved=PAUSES)),
        ]
    )
    console, said = a_console()
    await following.reshard(api, 2, console, 60)
    assert api.asked == [("POST", "/ops/reshard", {"shard_count": 2})]
    text = said.getvalue()
    for part in (
        "2 shards are wanted (epoch 2)",
        "1 of 2 slots are held",
        "a gateway is restarted",
        "5 chunks to hand over",
        "In force after",
        "5 chunks moved; the worst slot's p99 is 80 ms, the longest pause 90 ms",
    ):
        assert part in text
    assert text.index("1 of 2") < text.index("5 chunks to hand") < text.index("In force after")


async def test_a_reshard_that_takes_too_long_says_what_is_missing(autojump_clock: object) -> None:
    wanted = {"epoch": 2, "shard_count": 2}
    api: Any = Scripted([a_topology(a_slot(0), epoch=1, wanted=wanted, shard_count=1)])
    with pytest.raises(Unavailable, match="1 of 2 slots are held"):
        await following.reshard(api, 2, a_console()[0], 5)


async def test_pauses_of_an_earlier_reshard_are_not_shown_as_this_ones(
    autojump_clock: object,
) -> None:
    old = {**PAUSES, "epoch": 1}
    api: Any = Scripted([a_topology(a_slot(0, moved=old), a_slot(1))])
    console, said = a_console()
    await following.reshard(api, 2, console, 60)
    assert "No chunk had to move" in said.getvalue()


async def test_a_drain_is_shown_until_the_process_is_gone(autojump_clock: object) -> None:
    api: Any = Scripted(
        [
            a_topology(a_slot(0, shard="old"), a_slot(1)),
            a_topology(a_slot(0, shard="old", draining=True), a_slot(1)),
            a_topology(a_slot(0, shard="new"), a_slot(1)),
        ]
    )
    console, said = a_console()
    await following.drain(api, 0, console, 60)
    assert api.asked == [("POST", "/ops/shards/0/drain", None)]
    text = said.getvalue()
    assert "old, which has slot 0, was told" in text
    assert "old still has slot 0 with 3 chunks" in text
    assert "It has ended after" in text
