"""Members, audiences and the fan-out together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from common.grid import ChunkId, Tick
from common.limits import (
    FAN_OUT_SENDS,
    HEARTBEAT_SECONDS,
    SPECTATOR_QUEUE_MAX,
    STILL_SECONDS_MAX,
)
from gateway.metrics import SPECTATOR_EVENTS, SPECTATOR_RESYNCS
from gateway.stream import position
from gateway.stream.reader import Ending
from gateway.stream.view import View
from tests.gateway.stream.hall import a_hall
from tests.gateway.stream.scripted import HERE, THERE, arrival, soon


async def test_who_has_been_told_everything_is_told_on_without_a_task_and_without_a_feed() -> None:
    async with a_hall() as hall:
        clients = [hall.watch(HERE) for _ in range(3)]
        await soon()
        assert all(client.is_direct for client in clients)
        assert len(hall.house.fan_out) == 1
        assert len(hall.scene.feeds._feeds[HERE].listeners) == 1
        await hall.say(3, 7)
        for client in clients:
            assert client.seen.ticks == {HERE: 7}
            assert client.seen.deltas == 2
        assert len({bytes(client.socket.got) for client in clients}) == 1


async def test_a_delta_is_encoded_once_and_sent_once_to_each_however_many_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoded = Counter[str]()

    def count(marks: position.Position, chunk: ChunkId, ticks: Iterable[Tick]) -> Iterator[str]:
        encoded["ids"] += 1
        return ids_of(marks, chunk, ticks)

    ids_of = position.ids_of
    async with a_hall() as hall:
        clients = [hall.watch(HERE) for _ in range(3 * FAN_OUT_SENDS)]
        await soon()
        monkeypatch.setattr(position, "ids_of", count)
        before, events = [client.socket.sends for client in clients], _events()
        await hall.say(1)
        await hall.say(2)
        assert encoded["ids"] == 2
        assert {c.socket.sends - b for c, b in zip(clients, before, strict=True)} == {2}
        assert _events() - events == 2 * len(clients)


def _events() -> float:
    return float(SPECTATOR_EVENTS._value.get())


async def test_different_views_have_different_audiences() -> None:
    async with a_hall() as hall:
        one, both = hall.watch(HERE), hall.watch(THERE, HERE)
        await soon()
        assert len(hall.house.fan_out) == 2
        await hall.say(1)
        await hall.say(4, chunk=THERE)
        assert one.seen.ticks == {HERE: 1}
        assert both.seen.ticks == {HERE: 1, THERE: 4}


async def test_a_socket_without_room_puts_its_reader_behind_and_costs_others_nothing() -> None:
    async with a_hall() as hall:
        slow, other = hall.watch(HERE), hall.watch(HERE)
        await soon()
        slow.socket.have_room(30)
        await hall.say(1, 2, 3)
        assert other.seen.ticks == {HERE: 3}
        assert not slow.is_direct
        slow.socket.have_room(100)
        await hall.say(4)
        slow.socket.have_room(None)
        await soon()
        assert slow.is_direct
        assert len(hall.house.fan_out) == 1
        await hall.say(5)
        assert slow.socket.got == other.socket.got
        assert slow.seen.deltas == 5


async def test_a_stopped_reader_is_no_longer_written_to_and_keeps_no_more_than_its_queue() -> None:
    async with a_hall() as hall:
        stopped, other = hall.watch(HERE), hall.watch(HERE)
        await soon()
        stopped.socket.have_room(0)
        await hall.say(1)
        sends = stopped.socket.sends
        await hall.say(*range(2, 4 * SPECTATOR_QUEUE_MAX))
        assert stopped.socket.sends == sends
        assert stopped.member.behind is not None
        assert stopped.member.behind.take() == [], "what it can't take is dropped"
        assert other.seen.deltas == 4 * SPECTATOR_QUEUE_MAX - 1


async def test_one_that_was_too_slow_begins_anew_and_joins_the_others_again() -> None:
    async with a_hall() as hall:
        slow, other = hall.watch(HERE, THERE), hall.watch(HERE, THERE)
        await soon()
        slow.socket.have_room(0)
        last = SPECTATOR_QUEUE_MAX + 10
        await hall.say(1)
        await hall.say(*range(2, last))
        assert slow.member.behind is not None
        slow.socket.have_room(None)
        await soon()
        assert slow.seen.resyncs == ["slow"]
        assert slow.seen.deltas == 1
        assert slow.seen.ticks == {HERE: last - 1, THERE: 0}
        assert slow.is_direct
        assert len(hall.house.fan_out) == 1
        await hall.say(last)
        assert slow.seen.ticks == other.seen.ticks == {HERE: last, THERE: 0}


async def test_the_third_time_within_a_minute_it_is_sent_away_though_it_had_joined_again() -> None:
    async with a_hall() as hall:
        slow, tick = hall.watch(HERE), 0
        await soon()
        for times in range(3):
            assert slow.is_direct
            slow.socket.have_room(0)
            await hall.say(*range(tick + 1, tick + SPECTATOR_QUEUE_MAX + 5))
            tick += SPECTATOR_QUEUE_MAX + 4
            slow.socket.have_room(None)
            await soon()
            assert slow.seen.resyncs == ["slow"] * min(times + 1, 2)
        assert slow.ended.is_set()
        assert slow.socket.seen_off
        assert slow.seen.has_ended


async def test_a_gap_that_nothing_fills_is_announced_to_the_whole_audience() -> None:
    async with a_hall() as hall:
        clients = [hall.watch(HERE) for _ in range(3)]
        await soon()
        resyncs = SPECTATOR_RESYNCS.labels("out_of_range")._value.get()
        await hall.scene.shard.say_unheard(2, arrival())
        hall.scene.redis.deltas.clear()
        await hall.say(5)
        for client in clients:
            assert client.seen.resyncs == ["out_of_range"]
            assert client.seen.ticks == {HERE: 5}
            assert client.is_direct
        assert SPECTATOR_RESYNCS.labels("out_of_range")._value.get() - resyncs == 3


async def test_who_comes_back_joins_once_it_has_what_it_missed() -> None:
    async with a_hall() as hall:
        hall.watch(HERE)
        await soon()
        await hall.say(1, 2, 3)
        marks = {HERE: position.Mark(1, Tick(1))}
        back = hall.watch(view=View((HERE,), came_back=True, position=marks))
        await soon()
        assert back.is_direct
        await hall.say(4)
        assert b'"resumed":true' in back.socket.got
        assert back.socket.got.count(b"event: chunk_delta") == 3
        assert len(hall.house.fan_out) == 1


async def test_who_is_ahead_of_this_gateway_waits_alone_and_is_told_nothing_twice() -> None:
    async with a_hall() as hall:
        first = hall.watch(HERE)
        await soon()
        await hall.say(1)
        await hall.scene.shard.say_unheard(2)
        ahead = {HERE: position.Mark(1, Tick(2))}
        back = hall.watch(view=View((HERE,), came_back=True, position=ahead))
        await soon()
        assert first.is_direct
        assert not back.is_direct
        await hall.say(3)
        await hall.say(4)
        assert back.is_direct
        assert back.socket.got.count(b"event: chunk_delta") == 2
        assert first.seen.deltas == 4


async def test_who_goes_leaves_nothing_behind() -> None:
    async with a_hall() as hall:
        direct, slow = hall.watch(HERE), hall.watch(HERE)
        await soon()
        slow.socket.have_room(0)
        await hall.say(1)
        direct.member.lose()
        slow.member.lose()
        await soon()
        assert direct.ended.is_set()
        assert slow.ended.is_set()
        assert len(hall.house.fan_out) == 0
        assert not hall.house.readers
        assert not hall.scene.feeds._feeds[HERE].listeners


async def test_a_socket_that_fails_ends_its_own_stream_only() -> None:
    async with a_hall() as hall:
        gone, other = hall.watch(HERE), hall.watch(HERE)
        await soon()
        gone.socket.broken = True
        await hall.say(1)
        assert gone.ended.is_set()
        assert other.seen.ticks == {HERE: 1}


@pytest.mark.parametrize("behind", [False, True])
async def test_the_end_comes_after_all_that_was_begun(behind: bool) -> None:
    async with a_hall() as hall:
        client = hall.watch(HERE)
        await soon()
        if behind:
            client.socket.have_room(30)
        await hall.say(1)
        client.member.end(Ending.STOPPING)
        client.socket.have_room(None)
        await soon()
        assert client.seen.has_ended
        assert client.seen.ticks == {HERE: 1}
        assert client.socket.seen_off
        assert client.ended.is_set()


async def test_comments_come_every_15_seconds_to_whoever_joined_when_ever(
    autojump_clock: MockClock,
) -> None:
    async with a_hall() as hall:
        clients = []
        for _ in range(5):
            clients.append(hall.watch(HERE))
            await trio.sleep(3)
        for client in clients:
            client.socket.got[:] = client.socket.got.replace(b":\n", b"")
        for tick in range(1, 7):
            await trio.sleep(15)
            for client in clients:
                assert b":\n" in client.socket.got
                client.socket.got[:] = client.socket.got.replace(b":\n", b"")
            await hall.scene.shard.say(tick)


async def test_a_comment_comes_when_it_is_due_to_whoever_waits_longest() -> None:
    async with a_hall() as hall:
        first = hall.watch(HERE)
        await soon()
        audience = first.member._audience
        assert audience is not None
        due = audience.beat_at - 5
        hall.house.fan_out.join(hall.watch(THERE).member, (HERE,), audience.position, due)
        assert audience.beat_at == due
        hall.house.fan_out.join(hall.watch(THERE).member, (HERE,), audience.position, due + 1)
        assert audience.beat_at == due


async def test_a_member_that_vanished_is_let_go(autojump_clock: MockClock) -> None:
    async with a_hall() as hall:
        gone, other = hall.watch(HERE), hall.watch(HERE)
        await soon()
        gone.socket.vanished = True
        await trio.sleep(2 * HEARTBEAT_SECONDS)
        assert gone.ended.is_set()
        assert gone.socket.aborted
        assert other.is_direct


async def test_who_takes_nothing_of_a_block_for_too_long_is_ended(
    autojump_clock: MockClock,
) -> None:
    async with a_hall() as hall:
        client = hall.watch(HERE)
        await soon()
        client.socket.have_room(10)
        await hall.say(1)
        await trio.sleep(STILL_SECONDS_MAX - 1)
        assert not client.ended.is_set()
        await trio.sleep(2)
        assert client.ended.is_set()
        assert client.socket.aborted


async def test_others_have_their_turn_in_the_middle_of_a_large_audience() -> None:
    async with a_hall() as hall:
        clients = [hall.watch(HERE) for _ in range(5 * FAN_OUT_SENDS)]
        await soon()
        turns, sends = [], sum(client.socket.sends for client in clients)
        await hall.scene.shard.say(1)
        while (done := sum(client.socket.sends for client in clients) - sends) < len(clients):
            turns.append(done)
            await trio.lowlevel.checkpoint()
        steps = {after - before for before, after in pairwise(turns)}
        # Trio shuffles whose turn it is: the fan-out may have two in a row.
        assert steps <= {0, FAN_OUT_SENDS, 2 * FAN_OUT_SENDS}
        assert len(steps) > 1


async def test_one_who_comes_in_the_middle_of_a_round_gets_what_is_said_after_it() -> None:
    async with a_hall() as hall:
        clients = [hall.watch(HERE) for _ in range(3 * FAN_OUT_SENDS)]
        await soon()
        await hall.scene.shard.say(1)
        while not any(client.seen.deltas for client in clients[:1]):
            await trio.lowlevel.checkpoint()
        late = hall.watch(HERE)
        while late.member._task is not None:
            await hall.scene.shard.say(hall.scene.shard.replica(HERE).tick + 1)
        await hall.say(1000)
        assert late.seen.ticks == clients[-1].seen.ticks == {HERE: 1000}


async def test_a_gateway_that_can_not_keep_up_ends_the_streams_and_keeps_no_heap() -> None:
    async with a_hall() as hall:
        client = hall.watch(HERE)
        await soon()
        audience = client.member._audience
        assert audience is not None
        for _ in range(SPECTATOR_QUEUE_MAX + 1):
            audience.beat(trio.current_time())
        assert len(audience.take()) == 0
        await soon()
        assert client.ended.is_set()
        assert client.seen.has_ended
