from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import attrs
from hypothesis import given
from hypothesis import strategies as st

from common.grid import Slot
from common.limits import NEWCOMER_SECONDS, RANK_SECONDS, YIELDED_SECONDS_MAX
from common.topology import ProcessBeat
from shard.allocation import GiveBack, Move, Take, View, next_move

MOVES_MAX = 500
IDLE_ROUNDS = 8  # More than there are ranks.


def slots(*numbers: int) -> tuple[Slot, ...]:
    return tuple(map(Slot, numbers))


def a_view(
    me: str,
    holders: Mapping[int, str],
    chunks: Mapping[str, int],
    *,
    needed: int = 2,
    draining: tuple[str, ...] = (),
    free_seconds: float = 0.0,
    is_busy: bool = False,
) -> View:
    all_slots = frozenset(slots(*range(needed)))
    held = {Slot(slot): holder for slot, holder in holders.items()}
    processes = {
        name: ProcessBeat(chunks=count, is_draining=name in draining)
        for name, count in chunks.items()
    }
    ages = dict.fromkeys(all_slots - held.keys(), free_seconds)
    mine = [slot for slot, holder in held.items() if holder == me]
    own = dict.fromkeys(mine, chunks[me] // len(mine)) if mine else {}
    return View(me, all_slots, held, processes, all_slots, ages, own, is_busy)


def test_a_free_slot_goes_to_the_process_with_the_fewest_chunks() -> None:
    chunks = {"one": 10, "two": 3}
    holders = {0: "one", 1: "two"}
    assert next_move(a_view("two", holders, chunks, needed=3)) == Take(Slot(2))
    assert next_move(a_view("one", holders, chunks, needed=3)) is None


def test_a_slot_that_was_just_taken_counts_with_the_chunks_that_it_will_bring() -> None:
    """Two has fewer now, and will have as many more as slots bring in the mean: five."""
    chunks = {"one": 12, "two": 10}
    holders = {0: "one", 1: "one", 2: "two"}
    view = a_view("one", holders, chunks, needed=4, free_seconds=NEWCOMER_SECONDS)
    taken = attrs.evolve(view, settled=frozenset(slots(0, 1)))
    assert next_move(taken) == Take(Slot(3))
    assert next_move(attrs.evolve(taken, me="two")) is None


def test_among_equals_the_first_by_name_takes_it() -> None:
    chunks = {"b": 0, "a": 0}
    assert next_move(a_view("a", {}, chunks, needed=1)) == Take(Slot(0))
    assert next_move(a_view("b", {}, chunks, needed=1)) is None


def test_who_has_a_slot_leaves_one_that_is_not_in_force_to_a_newcomer_for_a_while() -> None:
    view = attrs.evolve(a_view("a", {0: "a"}, {"a": 5, "b": 9}), settled=frozenset(slots(0)))
    assert next_move(view) is None
    waited = attrs.evolve(view, free_seconds={Slot(1): NEWCOMER_SECONDS})
    assert next_move(waited) == Take(Slot(1))
    assert next_move(attrs.evolve(view, me="b", processes={**view.processes})) is None


def test_who_is_alone_leaves_a_second_slot_to_a_newcomer_for_a_moment() -> None:
    assert next_move(a_view("a", {0: "a"}, {"a": 5})) is None
    alone = a_view("a", {0: "a"}, {"a": 5}, free_seconds=RANK_SECONDS)
    assert next_move(alone) == Take(Slot(1))


def test_two_free_slots_go_to_two_processes() -> None:
    chunks = {"a": 0, "b": 0}
    assert next_move(a_view("a", {}, chunks)) == Take(Slot(0))
    assert next_move(a_view("b", {}, chunks)) == Take(Slot(1))


def test_who_drains_is_never_chosen() -> None:
    chunks = {"a": 0, "b": 50}
    view = a_view("b", {}, chunks, needed=1, draining=("a",))
    assert next_move(view) == Take(Slot(0))
    idle = a_view("a", {}, chunks, needed=1, draining=("a",), free_seconds=1_000)
    assert next_move(idle) is None


def test_when_the_first_choice_does_not_take_it_the_next_one_does() -> None:
    chunks = {"a": 0, "b": 1, "c": 2}
    for rank, name in enumerate("abc"):
        early, late = (rank - 0.1) * RANK_SECONDS, rank * RANK_SECONDS
        assert next_move(a_view(name, {}, chunks, needed=1, free_seconds=late)) == Take(Slot(0))
        if rank:
            assert next_move(a_view(name, {}, chunks, needed=1, free_seconds=early)) is None


def test_who_has_two_more_than_the_first_choice_gives_one_back() -> None:
    holders = {0: "a", 1: "a"}
    assert next_move(a_view("a", holders, {"a": 9, "b": 0})) == GiveBack(slots(1))
    assert next_move(a_view("b", holders, {"a": 9, "b": 0})) is None
    assert next_move(a_view("a", holders, {"a": 9, "b": 0}, is_busy=True)) is None
    assert next_move(a_view("a", {0: "a", 1: "b"}, {"a": 9, "b": 0})) is None


def test_who_has_only_a_slot_that_nobody_needs_any_more_takes_what_was_given_back_to_it() -> None:
    chunks = {"a": 0, "b": 0}
    holders = {0: "a", 1: "a", 4: "b"}
    assert next_move(a_view("a", holders, chunks)) == GiveBack(slots(1))
    del holders[1]
    assert next_move(a_view("a", holders, chunks)) is None
    assert next_move(a_view("b", holders, chunks)) == Take(Slot(1))


def test_the_slot_with_the_fewest_chunks_is_given_back_and_none_that_would_come_back() -> None:
    holders = {0: "a", 1: "a", 2: "a", 3: "b"}
    view = a_view("a", holders, {"a": 60, "b": 20}, needed=4)
    uneven = {Slot(0): 30, Slot(1): 10, Slot(2): 20}
    assert next_move(attrs.evolve(view, own_chunks=uneven)) == GiveBack(slots(1))
    heavy = a_view("a", holders, {"a": 60, "b": 70}, needed=4)
    assert next_move(heavy) is None


def test_who_drains_gives_back_one_slot_after_the_other() -> None:
    chunks, holders = {"a": 9, "b": 0}, {0: "a", 1: "a", 2: "b"}
    drains = ("a",)
    view = a_view("a", holders, chunks, needed=3, draining=drains)
    assert next_move(view) == GiveBack(slots(0))
    del holders[0]
    assert next_move(a_view("a", holders, chunks, needed=3, draining=drains)) is None
    waited = a_view(
        "a", holders, chunks, needed=3, draining=drains, free_seconds=YIELDED_SECONDS_MAX
    )
    assert next_move(waited) == GiveBack(slots(1))


def test_who_drains_alone_gives_all_back_at_once() -> None:
    view = a_view("a", {0: "a", 1: "a"}, {"a": 9, "b": 0}, draining=("a", "b"))
    assert next_move(view) == GiveBack(slots(0, 1))


@st.composite
def worlds(draw: st.DrawFn) -> tuple[int, dict[str, bool], dict[int, str], dict[int, int]]:
    """Slots, processes (draining or not), who holds what, and each slot's chunks."""
    needed = draw(st.integers(1, 12))
    names = [f"p{number}" for number in range(draw(st.integers(1, 6)))]
    processes = {name: draw(st.booleans()) for name in names}
    holders = {slot: draw(st.sampled_from(names)) for slot in range(needed) if draw(st.booleans())}
    return needed, processes, holders, {slot: draw(st.integers(0, 200)) for slot in range(needed)}


def _settle(
    needed: int, processes: dict[str, bool], holders: dict[int, str], chunks: dict[int, int]
) -> int:
    """Let everybody look in turn, RANK_SECONDS apart, until nobody acts; return the moves."""
    moves, idle = 0, 0
    ages = dict.fromkeys(range(needed), 0.0)
    while idle < IDLE_ROUNDS:
        idle += 1
        for name in sorted(processes):
            move = next_move(_seen_by(name, needed, processes, holders, chunks, ages))
            if move is not None:
                moves, idle = moves + 1, 0
                assert moves < MOVES_MAX, "it does not end"
                _carry_out(name, move, processes, holders, ages)
        ages = {slot: age + RANK_SECONDS for slot, age in ages.items()}
    return moves


def _seen_by(
    name: str,
    needed: int,
    processes: dict[str, bool],
    holders: dict[int, str],
    chunks: dict[int, int],
    ages: dict[int, float],
) -> View:
    counts = {
        each: sum(chunks[slot] for slot, holder in holders.items() if holder == each)
        for each in processes
    }
    draining = tuple(each for each, drains in processes.items() if drains)
    view = a_view(name, holders, counts, needed=needed, draining=draining)
    return attrs.evolve(
        view,
        free_seconds={slot: ages[slot] for slot in view.free},
        own_chunks={slot: chunks[slot] for slot in view.held_by(name)},
    )


def _carry_out(
    name: str,
    move: Move,
    processes: dict[str, bool],
    holders: dict[int, str],
    ages: dict[int, float],
) -> None:
    match move:
        case Take(slot):
            assert slot not in holders
            assert not processes[name], "who drains takes nothing"
            holders[slot] = name
        case GiveBack(given):
            for slot in given:
                assert holders.pop(slot) == name
                ages[slot] = 0.0


@given(worlds())
def test_it_ends_with_each_slot_held_by_one_that_does_not_drain(
    world: tuple[int, dict[str, bool], dict[int, str], dict[int, int]],
) -> None:
    needed, processes, holders, chunks = world
    moves = _settle(needed, processes, holders, chunks)
    able = {name for name, drains in processes.items() if not drains}
    if able:
        assert holders.keys() == set(range(needed))
        assert set(holders.values()) <= able
    else:
        assert not holders
    assert moves <= 6 * needed


@given(st.integers(1, 12), st.integers(1, 6))
def test_slots_with_as_many_chunks_end_up_spread_evenly(needed: int, count: int) -> None:
    processes = {f"p{number}": False for number in range(count)}
    holders = dict.fromkeys(range(needed), "p0")
    _settle(needed, processes, holders, dict.fromkeys(range(needed), 10))
    numbers = Counter(holders.values())
    assert max(numbers.values()) - min(numbers.get(name, 0) for name in processes) <= 1


@given(st.integers(1, 12), st.integers(1, 6))
def test_all_who_see_the_same_free_slots_take_different_ones(needed: int, count: int) -> None:
    """The first choices, each at once: so nobody waits for nobody."""
    chunks = {f"p{number}": 10 * number for number in range(count)}
    moves = [next_move(a_view(name, {}, chunks, needed=needed)) for name in chunks]
    taken = [move.slot for move in moves if isinstance(move, Take)]
    assert taken
    assert len(taken) == len(set(taken))
