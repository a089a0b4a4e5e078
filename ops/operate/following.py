"""Watch a reshard or a drain until it is done, and say how it goes.

It only looks, once a LOOK_SECONDS: who ends it ends the watching, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import trio
from rich.console import Console
from rich.text import Text

from common.errors import Misconfigured, Trouble, Unavailable
from ops.operate import tables
from ops.operate.api import Api

LOOK_SECONDS = 0.5

Topology = Mapping[str, Any]


@attrs.frozen
class Progress:
    """``what`` is still missing; nothing when it is done."""

    what: str

    @property
    def is_done(self) -> bool:
        return not self.what


def resharding(topology: Topology, epoch: int, count: int) -> Progress:
    """How far the reshard to ``epoch`` is. Misconfigured when somebody asked for another since."""
    wanted = topology["wanted"] or topology
    if (wanted["epoch"], wanted["shard_count"]) != (epoch, count):
        raise Misconfigured(
            f"{count} shards are no longer wanted: somebody asked for {wanted['shard_count']}"
            f" (epoch {wanted['epoch']})"
        )
    held = [
        slot for slot in topology["slots"] if slot["shard"] is not None and slot["slot"] < count
    ]
    if topology["epoch"] != epoch:
        return Progress(f"not yet in force: {len(held)} of {count} slots are held")
    behind = [slot["slot"] for slot in topology["slots"] if not _is_settled(slot, epoch)]
    if not behind:
        return Progress("")
    leaving = sum(slot["leaving"] or 0 for slot in topology["slots"])
    named = ", ".join(map(str, behind))
    return Progress(f"in force: {leaving} chunks to hand over, slots not yet ready: {named}")


def _is_settled(slot: Mapping[str, Any], epoch: int) -> bool:
    if not slot["in_force"]:
        return slot["shard"] is None or (slot["leaving"] == 0 and not slot["chunks"])
    has_said = slot["shard"] is not None and slot["epoch"] is not None
    return has_said and slot["epoch"] >= epoch and slot["leaving"] == 0


def draining(topology: Topology, slot: int, shard: str) -> Progress:
    """How far ``shard``, which had ``slot``, is with handing over all it has, and ending."""
    mine = [each for each in topology["slots"] if each["shard"] == shard]
    if mine:
        names = ", ".join(str(each["slot"]) for each in mine)
        chunks = sum(each["chunks"] or 0 for each in mine)
        return Progress(f"{shard} still has slot {names} with {chunks} chunks")
    if any(each["shard"] == shard for each in topology["shards"]):
        return Progress(f"{shard} has handed over all it had, and ends")
    free = any(each["slot"] == slot and each["in_force"] and each["shard"] is None
               for each in topology["slots"])  # fmt: skip
    return Progress(f"nobody has taken slot {slot} yet" if free else "")


async def follow(
    api: Api, look: Callable[[Topology], Progress], console: Console, seconds: float
) -> Topology:
    """Return the topology in which it is done. Unavailable when that takes too long."""
    deadline, said = trio.current_time() + seconds, ""
    with console.status("asking") as status:
        while True:
            try:
                topology = await api.get("/ops/topology")
                progress = look(topology)
            except Misconfigured:
                raise
            except Trouble as trouble:  # A gateway that is being restarted, for example.
                topology, progress = {}, Progress(str(trouble))
            if progress.is_done:
                return topology
            if progress.what != said:
                said = progress.what
                status.update(Text(said))
                if not console.is_terminal:
                    console.print(Text(said), soft_wrap=True)
            if trio.current_time() >= deadline:
                raise Unavailable(f"not done after {seconds:g} s: {said}")
            await trio.sleep(LOOK_SECONDS)


async def reshard(api: Api, count: int, console: Console, seconds: float) -> None:
    began = trio.current_time()
    asked = await api.call("POST", "/ops/reshard", {"shard_count": count})
    epoch = asked["epoch"]
    console.print(Text(f"{count} shards are wanted (epoch {epoch})."), soft_wrap=True)
    await follow(api, lambda topology: resharding(topology, epoch, count), console, seconds)
    took = trio.current_time() - began
    await trio.sleep(2 * LOOK_SECONDS)  # Slots say once a second how long chunks paused.
    topology = await api.get("/ops/topology")
    moved = [slot["moved"] for slot in topology["slots"] if slot["moved"] is not None]
    moved = [each for each in moved if each["epoch"] == epoch]
    console.print(Text(f"In force after {took:.1f} s, and every chunk is where it belongs."))
    if not moved:
        console.print(Text("No chunk had to move."))
        return
    console.print(tables.pauses(topology, epoch))
    worst, longest = max(each["p99_ms"] for each in moved), max(each["max_ms"] for each in moved)
    total = sum(each["chunks"] for each in moved)
    console.print(
        Text(f"{total} chunks moved; the worst slot's p99 is {worst:.0f} ms, the longest pause"
             f" {longest:.0f} ms."),
        soft_wrap=True,
    )  # fmt: skip


async def drain(api: Api, slot: int, console: Console, seconds: float) -> None:
    began = trio.current_time()
    before = await api.get("/ops/topology")
    holders = {each["slot"]: each["shard"] for each in before["slots"]}
    await api.call("POST", f"/ops/shards/{slot}/drain")
    shard = holders.get(slot)
    if shard is None:  # Taken between our two questions: whoever it was has been told.
        console.print(Text(f"Whoever holds slot {slot} was told."))
        return
    console.print(Text(f"{shard}, which has slot {slot}, was told."), soft_wrap=True)
    topology = await follow(api, lambda now: draining(now, slot, shard), console, seconds)
    took = trio.current_time() - began
    console.print(Text(f"It has ended after {took:.1f} s. Who has what now:"))
    console.print(tables.slots(topology))
