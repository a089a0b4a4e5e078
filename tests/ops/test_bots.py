"""The demo agents: what they do in a world, and when they come back to it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import attrs
import httpx
import pytest
import trio
from trio.testing import MockClock

from common.frames import ChunkStatic
from common.grid import CHUNK_SIZE, AgentId, ChunkId, Tick
from common.limits import CHAT_CHARACTERS_MAX, NAME_CHARACTERS_MAX, WAIT_TICKS_MAX
from common.refusals import CloseCode
from common.replica import Replica, replica_of
from ops.bots import HOME_CHUNKS, NAMES, RETRY_SECONDS, SAYINGS, Bot, Walker, keep_alive, name_of
from ops.client import Failed, Keyring, Refused, Rejected, SessionOver, StreamBroken
from ops.client.account import Credentials

EAST = ChunkId("3:-1")
STRIPES = ["." * CHUNK_SIZE if y % 2 else "#" * CHUNK_SIZE for y in range(CHUNK_SIZE)]
VIEW = replica_of(ChunkStatic(EAST, 1, Tick(5), CHUNK_SIZE, STRIPES, []))


class LifeOver(Exception):
    """Of a walker that did all it was to do."""


@attrs.define
class Walked:
    """Notes what a bot asks for, and answers with the errors it is given, then with success."""

    view: Replica | None = None
    answers: list[Exception | None] = attrs.field(factory=list)
    steps: int = 200
    did: list[tuple[str, object]] = attrs.field(factory=list)
    when: list[float] = attrs.field(factory=list)

    async def move_to(self, x: int, y: int) -> None:
        await self._do("move_to", (x, y))

    async def say(self, text: str) -> None:
        await self._do("say", text)

    async def wait(self, ticks: int) -> None:
        await self._do("wait", ticks)

    async def _do(self, what: str, how: object) -> None:
        if len(self.did) == self.steps:
            raise LifeOver
        await trio.sleep(1)
        self.did.append((what, how))
        self.when.append(trio.current_time())
        if self.answers and (answer := self.answers.pop(0)) is not None:
            raise answer


async def live(walker: Walked, seed: str = "Ada") -> None:
    with pytest.raises(LifeOver):
        await Bot(walker, random.Random(seed)).live()


async def test_it_walks_most_of_the_time_and_rests_and_talks(autojump_clock: MockClock) -> None:
    walker = Walked(VIEW)
    await live(walker)
    done = Counter(what for what, _ in walker.did)
    assert done["move_to"] > done["wait"] > done["say"] > 0


async def test_what_it_asks_for_is_what_the_protocol_allows(autojump_clock: MockClock) -> None:
    walker = Walked(VIEW)
    await live(walker)
    for what, how in walker.did:
        if what == "say":
            assert how in SAYINGS
        elif what == "wait":
            assert isinstance(how, int)
            assert 1 <= how <= WAIT_TICKS_MAX
    assert all(0 < len(saying) <= CHAT_CHARACTERS_MAX for saying in SAYINGS)


async def test_it_stays_near_home_or_where_it_sees_floor(autojump_clock: MockClock) -> None:
    walker = Walked(VIEW, steps=400)
    await live(walker)
    low, high = -HOME_CHUNKS * CHUNK_SIZE, (HOME_CHUNKS + 1) * CHUNK_SIZE
    seen = 0
    for what, how in walker.did:
        if what == "move_to":
            assert isinstance(how, tuple)
            x, y = how
            if not (low <= x < high and low <= y < high) or x >= 3 * CHUNK_SIZE:
                assert (x // CHUNK_SIZE, y // CHUNK_SIZE) == (3, -1)
                assert STRIPES[y % CHUNK_SIZE][x % CHUNK_SIZE] == "."
                seen += 1
    assert seen > 20


async def test_it_goes_on_when_a_walk_fails(autojump_clock: MockClock) -> None:
    walker = Walked(answers=[Failed("blocked"), Failed("unreachable")], steps=5)
    await live(walker)
    assert len(walker.did) == 5
    assert walker.when[1] - walker.when[0] > 1.1


async def test_it_waits_as_long_as_it_is_told_to(autojump_clock: MockClock) -> None:
    walker = Walked(answers=[Rejected("rate_limited", 4_000), Rejected("in_flight")], steps=3)
    await live(walker)
    assert walker.when[1] - walker.when[0] >= 5
    assert walker.when[2] - walker.when[1] >= 1.5  # Not at once, though nobody said for how long.


@attrs.define
class Door:
    """Lets nobody in for the reasons it is given, one each time; then for ever."""

    reasons: list[Exception]
    times: list[float] = attrs.field(factory=list)

    def enter(self) -> AbstractAsyncContextManager[Walker]:
        return self._enter()

    @asynccontextmanager
    async def _enter(self) -> AsyncIterator[Walker]:
        self.times.append(trio.current_time())
        if self.reasons:
            raise self.reasons.pop(0)
        yield Walked()
        raise AssertionError("nobody leaves by itself")


async def visit(door: Door, keyring: Keyring, enough: Callable[[], bool]) -> bool:
    """Keep a bot alive until ``enough``; return whether it gave up by itself."""
    gave_up = True
    async with trio.open_nursery() as nursery:

        async def look() -> None:
            nonlocal gave_up
            while not enough():
                await trio.sleep(0.1)
            gave_up = False
            nursery.cancel_scope.cancel()

        nursery.start_soon(look)
        await keep_alive(door.enter, "Ada", keyring)
        nursery.cancel_scope.cancel()
    return gave_up


@pytest.mark.parametrize(
    ("reason", "pause"),
    [
        (SessionOver(CloseCode.SESSION_ENDED, None), RETRY_SECONDS),
        (StreamBroken("seq 3 after 1"), RETRY_SECONDS),
        (httpx.ConnectError("nobody there"), RETRY_SECONDS),
        (Refused(429, "rate_limited", "", 60_000), 60),
        (Refused(503, "unavailable", "", None), RETRY_SECONDS),
    ],
)
async def test_it_comes_back_after_a_while(
    autojump_clock: MockClock, tmp_path: Path, reason: Exception, pause: float
) -> None:
    door = Door([reason])
    assert not await visit(door, Keyring(tmp_path / "keys.json"), lambda: len(door.times) == 2)
    assert door.times[1] - door.times[0] == pytest.approx(pause)


@pytest.mark.parametrize(
    "reason",
    [Refused(409, "name_taken", "", None), SessionOver(CloseCode.REPLACED, None)],
)
async def test_it_leaves_its_name_to_whoever_has_it(
    autojump_clock: MockClock, tmp_path: Path, reason: Exception
) -> None:
    door = Door([reason])
    assert await visit(door, Keyring(tmp_path / "keys.json"), lambda: len(door.times) == 2)


async def test_in_a_new_world_it_forgets_its_key(autojump_clock: MockClock, tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "keys.json")
    keyring.keep(Credentials(AgentId("agt_1"), "Ada", "tsk_old"))
    keyring.keep(Credentials(AgentId("agt_2"), "Bob", "tsk_other"))
    door = Door([Refused(401, "unauthorized", "", None)])
    await visit(door, keyring, lambda: len(door.times) == 2)
    assert keyring.find("Ada") is None
    assert keyring.find("Bob") is not None


def test_a_thousand_bots_have_a_thousand_names() -> None:
    names = [name_of(number) for number in range(1000)]
    assert names[: len(NAMES)] == list(NAMES)
    assert len({name.lower() for name in names}) == 1000
    assert all(3 <= len(name) <= NAME_CHARACTERS_MAX for name in names)
