from __future__ import annotations

from collections.abc import Iterable

import attrs
import trio
import trio.testing

from common.frames import Error
from gateway.agent.actions import Action, FindLines, Recall, Send
from gateway.agent.lane import Lane, Then


def say(word: str) -> Send:
    return Send(Error(word, ""))


@attrs.define
class Errands:
    """Does what is sent at once; ``FindLines(n)`` goes on when the test says so."""

    done: list[str] = attrs.field(factory=list)
    under_way: list[Then] = attrs.field(factory=list)

    def carry_out(self, action: Action, then: Then) -> Iterable[Action] | None:
        match action:
            case Send(frame=Error(code=code)):
                self.done.append(code)
                return [say(code + "'")] if code == "and more" else ()
            case FindLines(upto=0):
                then(lambda: [say("at once")])
                return None
            case FindLines():
                self.under_way.append(then)
                return None
            case _:
                raise ZeroDivisionError


@attrs.define
class Scene:
    errands: Errands = attrs.field(factory=Errands)
    failed: list[Exception] = attrs.field(factory=list)
    rested: int = 0
    lane: Lane = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.lane = Lane(self.errands, self._rest, self.failed.append)
        self.lane.open()

    def _rest(self) -> None:
        self.rested += 1

    def put(self, *actions: Action) -> None:
        self.lane.put(lambda: actions)


def test_what_follows_from_an_errand_comes_before_what_was_put_after_it() -> None:
    scene = Scene()
    scene.put(say("and more"), say("b"))
    scene.put(say("c"))
    assert scene.errands.done == ["and more", "and more'", "b", "c"]
    assert scene.rested == 3  # When it opened, too.


def test_what_takes_time_holds_up_what_comes_after_it_and_nothing_else() -> None:
    scene, other = Scene(), Scene()
    scene.put(say("a"), FindLines(1), say("c"))
    scene.put(say("d"))
    other.put(say("e"))
    assert (scene.errands.done, other.errands.done) == (["a"], ["e"])
    assert scene.lane.waiting == 1
    assert not scene.lane.is_idle
    scene.errands.under_way.pop()(lambda: [say("b")])
    assert scene.errands.done == ["a", "b", "c", "d"]
    assert scene.lane.is_idle


def test_what_is_over_before_it_was_said_to_take_time_holds_up_nothing() -> None:
    scene = Scene()
    scene.put(FindLines(0), say("b"))
    assert scene.errands.done == ["at once", "b"]
    assert scene.lane.is_idle


def test_a_lane_is_closed_before_it_opens_and_for_good_after_it_closed() -> None:
    scene = Scene()
    scene.lane = Lane(scene.errands, scene._rest, scene.failed.append)
    scene.put(say("a"))
    assert scene.errands.done == []
    scene.lane.open()
    scene.put(FindLines(1))
    scene.lane.close()
    scene.put(say("b"))
    scene.errands.under_way.pop()(lambda: [say("c")])
    scene.lane.open()
    assert scene.errands.done == ["a"]


def test_a_bug_is_told_and_ends_the_lane_and_not_who_put_it_there() -> None:
    scene = Scene()
    scene.put(Recall(None))  # type: ignore[arg-type]  # Whatever it is, it fails.
    assert [type(error) for error in scene.failed] == [ZeroDivisionError]
    scene.put(say("a"))
    assert scene.errands.done == []


async def test_who_waits_for_an_errand_waits_for_all_that_follows_from_it() -> None:
    scene, done = Scene(), trio.Event()

    async def run() -> None:
        await scene.lane.run([FindLines(1)])
        done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        nursery.start_soon(scene.lane.wait_idle)
        await trio.testing.wait_all_tasks_blocked()
        scene.errands.under_way.pop()(lambda: [FindLines(2)])
        await trio.testing.wait_all_tasks_blocked()
        assert not done.is_set()
        scene.errands.under_way.pop()(lambda: ())
    assert done.is_set()
