"""Which slot this process takes or gives back next.

Pure. Every process asks for itself, and all who see the same come to the same end:

* A free slot goes to the process with the fewest chunks; to the first by name among equals; to one
  that drains never. Slots that were just taken count with the chunks that they will bring.
* Who is not the first choice takes it all the same when those before it have not, RANK_SECONDS
  each.
* Who has a slot already waits a little longer for one that is wanted and not in force, or when it
  is alone: somebody may just be starting.
* Who drains gives back one slot after the other, each once the one before is taken; all at once
  when nobody is there to take them.
* Who has the most slots gives back that with the fewest chunks when the first choice for it then is
  another that has two less. So the sum of the squares of their numbers falls with every slot that
  moves, and it ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import attrs

from common.grid import Slot
from common.limits import NEWCOMER_SECONDS, RANK_SECONDS, YIELDED_SECONDS_MAX
from common.topology import ProcessBeat


@attrs.frozen
class View:
    """What a process sees. ``needed``: slots that somebody must hold; the others are let go."""

    me: str
    needed: frozenset[Slot]
    holders: Mapping[Slot, str]
    processes: Mapping[str, ProcessBeat]
    """Those that live, ourselves as well."""
    settled: frozenset[Slot]
    """Slots that are not only wanted: their chunks are counted with their holder's."""
    free_seconds: Mapping[Slot, float] = attrs.field(factory=dict)
    """For how long we have seen a needed slot free."""
    own_chunks: Mapping[Slot, int] = attrs.field(factory=dict)
    """Those in each slot of ours."""
    is_busy: bool = False
    """A slot of ours is on its way out, or hands chunks over: one thing at a time."""

    @property
    def free(self) -> Sequence[Slot]:
        return sorted(self.needed - self.holders.keys())

    @property
    def able(self) -> Sequence[str]:
        return sorted(name for name, one in self.processes.items() if not one.is_draining)

    def held_by(self, process: str) -> Sequence[Slot]:
        return sorted(s for s, holder in self.holders.items() if holder == process)


@attrs.frozen
class Take:
    slot: Slot


@attrs.frozen
class GiveBack:
    slots: tuple[Slot, ...]


Move = Take | GiveBack


def next_move(view: View) -> Move | None:
    """Return what to do now; None when nothing is."""
    if view.processes[view.me].is_draining:
        return _leave(view)
    return _take(view) or _balance(view)


def _leave(view: View) -> Move | None:
    mine = view.held_by(view.me)
    if not mine or view.is_busy:
        return None
    if not view.able:
        return GiveBack(tuple(mine))
    if any(view.free_seconds.get(slot, 0.0) < YIELDED_SECONDS_MAX for slot in view.free):
        return None
    return GiveBack((mine[0],))


def _take(view: View) -> Move | None:
    free = view.free
    if not free:
        return None
    weights = _weights(view)
    # As when balancing, or what is given back could come back at once, again and again.
    counts = {name: len(view.needed.intersection(view.held_by(name))) for name in weights}
    for slot in free:
        ranks = sorted(weights, key=lambda name: (weights[name], counts[name], name))
        rank = ranks.index(view.me)
        patience = RANK_SECONDS * rank
        if counts[view.me]:
            patience += _for_newcomers(view, slot)
        if view.free_seconds.get(slot, 0.0) >= patience:
            return Take(slot)
        weights[ranks[0]] += _brought(view)  # As if it had taken it.
        counts[ranks[0]] += 1
    return None


def _for_newcomers(view: View, slot: Slot) -> float:
    """Return for how long who has a slot leaves ``slot`` to somebody who may just be starting."""
    if slot not in view.settled:
        return NEWCOMER_SECONDS  # Nobody misses it yet.
    return RANK_SECONDS if len(view.able) == 1 else 0.0


def _balance(view: View) -> Move | None:
    if view.free or view.is_busy:
        return None
    held = {name: view.needed.intersection(view.held_by(name)) for name in view.able}
    if min(held, key=lambda name: (-len(held[name]), name)) != view.me:
        return None
    others = [name for name in held if name != view.me]
    if not others:
        return None
    weights = _weights(view)
    first = min(others, key=lambda name: (weights[name], len(held[name]), name))
    if len(held[view.me]) - len(held[first]) < 2:
        return None
    slot = min(held[view.me], key=lambda slot: (view.own_chunks.get(slot, 0), -slot))
    mine = weights[view.me] - view.own_chunks.get(slot, 0)
    if (mine, len(held[view.me]) - 1, view.me) < (weights[first], len(held[first]), first):
        return None  # It would be our own again.
    return GiveBack((slot,))


def _weights(view: View) -> dict[str, float]:
    """Return how many chunks each able process has, and will have by what it holds."""
    brought = _brought(view)
    coming = Counter(view.holders.get(slot) for slot in view.needed - view.settled)
    return {name: view.processes[name].chunks + brought * coming[name] for name in view.able}


def _brought(view: View) -> float:
    """Return how many chunks a slot brings, as far as anybody can tell."""
    chunks = sum(one.chunks for one in view.processes.values())
    return max(1.0, chunks / max(1, len(view.needed)))
