"""Whatever sockets take, and whatever gets lost on the way: stories drawn from seeds."""

from __future__ import annotations

import random
from collections import Counter

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from common.grid import ChunkId
from common.limits import SPECTATOR_QUEUE_MAX
from tests.gateway.stream.hall import Client, Hall, a_hall
from tests.gateway.stream.scripted import HERE, THERE, soon


@attrs.define
class Story:
    """What happened to all who watched, drawn from one seed."""

    chance: random.Random
    clients: list[Client] = attrs.field(factory=list)
    behind: int = 0

    async def play(self) -> None:
        async with a_hall() as hall, trio.open_nursery() as nursery:
            for number in range(6):
                nursery.start_soon(self._watch, hall, (HERE, THERE)[: 1 + number % 2])
            await self._speak(hall)
            nursery.cancel_scope.cancel()
        # The hall is closed: what each got is all there is.

    async def _speak(self, hall: Hall) -> None:
        tick = 0
        for _ in range(self.chance.randint(50, 400)):
            if self.chance.random() < 0.015:
                await hall.say(*range(tick + 1, tick + SPECTATOR_QUEUE_MAX + 20))
                tick += SPECTATOR_QUEUE_MAX + 20
            tick += self.chance.randint(1, 3)
            chunk = self.chance.choice((HERE, HERE, THERE))
            lot = self.chance.random()
            if lot < 0.01:
                await hall.scene.shard.say_unheard(tick, chunk=chunk)
                if lot < 0.004:
                    hall.scene.redis.deltas.clear()
            else:
                await hall.scene.shard.say(tick, chunk=chunk)
            if self.chance.random() < 0.3:
                await trio.sleep(self.chance.choice((0, 0, 0.01, 0.2)))
            self.behind += sum(client.member.behind is not None for client in self.clients)
        for client in self.clients:
            client.socket.have_room(None)
        for chunk in (HERE, THERE):  # A gap shows at the next delta.
            tick += 1
            await hall.say(tick, chunk=chunk)
        await trio.sleep(2)
        for client in self.clients:
            client.socket.have_room(None)
        await soon()
        for client in self.clients:
            self._check(client, hall)

    def _check(self, client: Client, hall: Hall) -> None:
        seen = client.seen
        if client.ended.is_set():
            assert seen.resyncs.count("slow") >= 2, "only who was too slow too often is sent away"
            assert seen.has_ended
        else:
            assert client.is_direct
            assert seen.ticks == {c: hall.scene.shard.replica(c).tick for c in client.chunks}

    async def _watch(self, hall: Hall, chunks: tuple[ChunkId, ...]) -> None:
        await trio.sleep(self.chance.random() * 3)
        client = hall.watch(*chunks)
        self.clients.append(client)
        while True:
            await trio.sleep(self.chance.choice((0, 0.01, 0.1, 1)))
            room = self.chance.choice((None, None, 0, 1, 100, 5_000))
            client.socket.have_room(room)


@pytest.mark.slow
@settings(max_examples=30)
@given(st.integers(0, 2**32))
def test_whatever_sockets_take_every_reader_has_an_unbroken_stream(seed: int) -> None:
    story = Story(random.Random(seed))
    trio.run(story.play, clock=MockClock(autojump_threshold=0))


@pytest.mark.slow
def test_the_stories_have_it_all() -> None:
    """Else the test above would prove nothing."""
    stories = [Story(random.Random(seed)) for seed in range(25)]
    for story in stories:
        trio.run(story.play, clock=MockClock(autojump_threshold=0))
    seen = [client.seen for story in stories for client in story.clients]
    resyncs = Counter(reason for witness in seen for reason in witness.resyncs)
    assert resyncs["slow"] > 10
    assert resyncs["out_of_range"] > 10
    assert sum(story.behind for story in stories) > 1000
