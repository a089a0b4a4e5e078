"""The pure part of a feed: whatever is lost, doubled or reordered, no listener hears a gap."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from common.grid import Tick
from common.limits import STALE_SHOWS_MAX
from common.replica import as_static, fold, replica_of
from gateway.stream import follow
from gateway.stream.follow import FeedDelta, Following, Step, TellDelta, TellStatic
from tests.gateway.stream.scripted import a_delta, a_static, arrival, step


def known(tick: int = 0) -> Following:
    return follow.on_shown(Following(), a_static(tick=tick)).state


def told(step: Step) -> list[str]:
    return [str(t.item.delta.tick) if isinstance(t, TellDelta) else "static" for t in step.tell]


def test_the_first_delta_after_a_static_may_reach_back_behind_it() -> None:
    """``prev_tick <= static.tick < tick``: the static may be of a tick in which nothing was."""
    assert told(follow.on_delta(known(5), a_delta(6, 3))) == ["6"]
    assert told(follow.on_delta(known(5), a_delta(6, 5))) == ["6"]
    assert told(follow.on_delta(known(5), a_delta(5, 3))) == []
    gap = follow.on_delta(known(5), a_delta(8, 6))
    assert told(gap) == []
    assert gap.state.filling


def test_a_shown_that_nobody_asked_for_changes_nothing() -> None:
    state = known(5)
    assert follow.on_shown(state, a_static(tick=9)) == Step(state)


def test_what_was_heard_before_the_answer_is_in_the_static_and_not_told_again() -> None:
    asking = follow.on_delta(Following(), a_delta(6, 5)).state
    answered = follow.on_shown(asking, a_static(tick=5))
    assert told(answered) == ["static"]
    assert answered.state.replica is not None
    assert answered.state.replica.tick == 6


def test_an_answer_to_an_older_question_is_not_told_unless_all_answers_are_so() -> None:
    behind = follow.on_filled(follow.on_delta(known(5), a_delta(9, 8)).state, None, 0).state
    assert behind.asking
    assert told(follow.on_shown(behind, a_static(tick=4))) == []
    for _ in range(STALE_SHOWS_MAX):
        behind = follow.asked(behind)
    assert told(follow.on_shown(behind, a_static(tick=4))) == ["static"]


def test_a_fill_that_does_not_close_the_gap_is_not_repeated_for_ever() -> None:
    gap = follow.on_delta(known(5), a_delta(9, 8)).state
    assert follow.on_filled(gap, [], 0).state.asking


def test_a_fill_begun_before_the_subscription_was_lost_again_is_repeated() -> None:
    state = follow.on_restored(known(5)).state
    again = follow.on_restored(state).state
    first = follow.on_filled(again, [a_delta(6, 5)], state.restores)
    assert told(first) == ["6"]
    assert first.state.filling
    second = follow.on_filled(first.state, [], again.restores)
    assert not second.state.filling


def test_a_lost_subscription_whose_deltas_are_gone_is_no_quiet_one() -> None:
    lost = follow.on_restored(known(5)).state
    assert follow.on_filled(lost, None, lost.restores).state.asking


def test_a_chunk_that_may_be_another_by_now_is_asked_for_again() -> None:
    lapsed = follow.on_lapsed(known(5))
    assert (lapsed.state.asking, told(lapsed)) == (True, [])
    answered = follow.on_shown(lapsed.state, a_static(tick=90, generation=2))
    assert told(answered) == ["static"]
    assert follow.on_lapsed(Following()) == Step(Following())


def test_the_first_delta_of_a_new_generation_is_never_told_to_who_knows_the_old_one() -> None:
    """It follows on the tick kept of the old one, which is later than any that was shown."""
    birth = a_delta(91, 90, arrival())
    step = follow.on_delta(known(5), birth)
    assert told(step) == []
    asking = follow.on_filled(step.state, None, 0).state
    shown = follow.on_shown(asking, a_static(tick=91, generation=2))
    assert told(shown) == ["static"]
    assert shown.state.replica is not None
    assert shown.state.replica.static.generation == 2


@st.composite
def histories(draw: st.DrawFn) -> list[FeedDelta]:
    """The deltas of a chunk in which ada walks about, some ticks without any."""
    items, tick = [a_delta(1, 0, arrival())], 1
    for gap in draw(st.lists(st.integers(1, 3), max_size=12)):
        items.append(a_delta(tick + gap, tick, step(x=tick % 2)))
        tick += gap
    return items


@given(st.data())
def test_listeners_hear_an_unbroken_sequence_whatever_pub_sub_does(data: st.DataObject) -> None:
    history = data.draw(histories())
    replicas = [replica_of(a_static())]
    for item in history:
        replicas.append(fold(replicas[-1], follow.frame_of(item)))
    state, heard, published = Following(), list[str](), 0

    def carry_out(step: Step) -> Following:
        before = state.replica
        for telling in step.tell:
            match telling:
                case TellStatic():
                    assert step.state.replica is not None
                    heard.append("static")
                case TellDelta(item=item):
                    assert heard, "never a delta before a static"
                    heard.append(str(item.delta.tick))
        if before is not None and step.state.replica is not None:
            assert before.tick <= step.state.replica.tick, "ticks never go back"
        return step.state

    while published < len(history):
        published += 1
        item = history[published - 1]
        for _ in range(data.draw(st.integers(0, 2), label="times it is delivered")):
            state = carry_out(follow.on_delta(state, item))
        if state.asking and data.draw(st.booleans(), label="the shard answers"):
            state = carry_out(follow.on_shown(state, as_static(replicas[published])))
        if state.filling and data.draw(st.booleans(), label="the stream is read"):
            assert state.replica is not None
            tick = state.replica.tick
            kept = [each for each in history[:published] if each.delta.tick > tick]
            missed = kept if data.draw(st.booleans(), label="it is all there") else None
            state = carry_out(follow.on_filled(state, missed, state.restores))
    if state.asking:
        state = carry_out(follow.on_shown(state, as_static(replicas[-1])))
    state = carry_out(follow.on_restored(state))
    assert state.replica is not None
    tick = state.replica.tick
    missed = [each for each in history if each.delta.tick > tick]
    state = carry_out(follow.on_filled(state, missed, state.restores))
    assert state.replica is not None
    assert as_static(state.replica) == as_static(replicas[-1])
    _assert_unbroken(heard, history)


def _assert_unbroken(heard: list[str], history: list[FeedDelta]) -> None:
    before = {str(item.delta.tick): str(item.delta.prev_tick) for item in history}
    for one, other in itertools.pairwise(heard):
        if one != "static" and other != "static":
            assert before[other] == one, f"{other} does not follow {one}"


def test_what_is_pending_is_bounded() -> None:
    state = Following()
    for tick in range(1, 2_000):
        state = follow.on_delta(state, a_delta(tick, tick - 1)).state
    assert len(state.pending) == 600
    assert state.pending[-1].delta.tick == Tick(1_999)
