"""The endpoints through an in-memory ASGI harness, over feeds with a scripted shard."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from common.grid import ChunkId
from common.limits import (
    ENDINGS_AT_ONCE,
    ENDINGS_STEP_SECONDS,
    FAREWELL_SECONDS_MAX,
    FEED_LINGER_SECONDS,
    HEARTBEAT_SECONDS,
    SPECTATOR_QUEUE_MAX,
    SPECTATOR_TAKE_MAX,
    STILL_SECONDS_MAX,
    STREAMS_ENDED_SECONDS,
    SWEEP_SECONDS,
    TICK_SECONDS,
)
from common.settings import Settings
from gateway.stream.spectate import Spectators
from gateway.stream.view import View
from tests.gateway.stream.hall import watch
from tests.gateway.stream.scripted import HERE, THERE, Scene, a_scene, arrival, soon, step


@attrs.define
class Event:
    event: str
    data: dict[str, Any]
    id: str | None = None

    @property
    def short(self) -> str:
        return " ".join(
            [self.event.removeprefix("chunk_")]
            + [str(self.data[key]) for key in ("reason", "chunk", "tick") if key in self.data]
        )


@attrs.define(eq=False)
class Client:
    """The other end of one ASGI conversation; ``reads`` is cleared by who stops reading."""

    sent: list[dict[str, Any]] = attrs.field(factory=list)
    reads: trio.Event = attrs.field(factory=trio.Event)
    says: trio.MemorySendChannel[dict[str, Any]] = attrs.field(init=False)
    _said: trio.MemoryReceiveChannel[dict[str, Any]] = attrs.field(init=False)
    done: trio.Event = attrs.field(factory=trio.Event)
    read: int = 0
    pace: float = 0.0
    """Seconds that it takes for each message."""

    def __attrs_post_init__(self) -> None:
        self.says, self._said = trio.open_memory_channel(10)
        self.reads.set()

    async def receive(self) -> Any:
        return await self._said.receive()

    async def send(self, message: Any) -> None:
        await self.reads.wait()
        await trio.sleep(self.pace)
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def text(self) -> str:
        return b"".join(message.get("body", b"") for message in self.sent[1:]).decode()

    @property
    def events(self) -> list[Event]:
        if self.sent[0]["type"] == "websocket.accept":
            frames = [json.loads(m["text"]) for m in self.sent if m["type"] == "websocket.send"]
            return [Event(f["event"], f["data"], f.get("id")) for f in frames]
        return [event for block in self.text.split("\n\n") if (event := _parse(block))]

    @property
    def shorts(self) -> list[str]:
        return [event.short for event in self.events]

    def new(self) -> list[str]:
        """What came since last asked."""
        events, self.read = self.shorts[self.read :], len(self.events)
        return events


def _parse(block: str) -> Event | None:
    fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
    if "event" not in fields:
        return None
    assert fields["event"] == json.loads(fields["data"])["type"]
    return Event(fields["event"], json.loads(fields["data"]), fields.get("id"))


@attrs.frozen
class Stage:
    scene: Scene
    spectators: Spectators
    nursery: trio.Nursery
    stop: trio.Event

    def watch(self, query: str = "chunks=0:0", **scope: Any) -> Client:
        return self._open(self.spectators.events, query, type="http", **{"method": "GET", **scope})

    def watch_ws(self, query: str = "chunks=0:0", **scope: Any) -> Client:
        client = self._open(self.spectators.frames, query, type="websocket", **scope)
        client.says.send_nowait({"type": "websocket.connect"})
        return client

    def _open(self, endpoint: Any, query: str, **scope: Any) -> Client:
        client = Client()
        whole = {"headers": [], "query_string": query.encode(), "client": ("192.0.2.1", 1), **scope}

        async def run() -> None:
            await endpoint(whole, client.receive, client.send)
            client.done.set()

        self.nursery.start_soon(run)
        return client


@asynccontextmanager
async def a_stage(settings: Settings | None = None) -> AsyncIterator[Stage]:
    stop = trio.Event()
    async with a_scene() as scene, trio.open_nursery() as nursery:
        spectators = Spectators(scene.feeds, scene.bus, settings or Settings(), stop)
        nursery.start_soon(spectators.run)
        yield Stage(scene, spectators, nursery, stop)
        nursery.cancel_scope.cancel()


def last_id(client: Client) -> str:
    (*_, id) = (event.id for event in client.events if event.id)
    return id


async def test_who_comes_back_to_another_generation_is_told_and_shown_it(
    autojump_clock: MockClock,
) -> None:
    async with a_stage() as stage:
        before = stage.watch()
        await soon()
        await stage.scene.shard.say(3, arrival())
        await soon()
        id = last_id(before)
        await before.says.send({"type": "http.disconnect"})
        await trio.sleep(2 * FEED_LINGER_SECONDS)
        stage.scene.shard.be_born_again(HERE, generation=2, tick=2_000)
        unborn = stage.watch(f"chunks=0:0&last_event_id={id}")
        await trio.sleep(1)
        await stage.scene.shard.say(2_001, arrival("bob"))
        born = stage.watch(f"chunks=0:0&last_event_id={id}")
        await trio.sleep(1)
        anew = ["session_ready", "resync out_of_range 0:0"]
        assert unborn.shorts == [*anew, "static 0:0 2000", "delta 0:0 2001"]
        assert born.shorts == [*anew, "static 0:0 2001"]
        assert [event.data["generation"] for event in unborn.events if "generation" in event.data]
        later = stage.watch(f"chunks=0:0&last_event_id={last_id(unborn)}")
        await trio.sleep(1)
        assert later.shorts == ["session_ready"]


async def test_a_stream_begins_as_the_protocol_says() -> None:
    async with a_stage() as stage:
        client = stage.watch("chunks=1:0,0:0")
        await soon()
        await stage.scene.shard.say(3, arrival())
        await soon()
        assert client.status == 200
        assert len(client.headers["x-trace-id"]) == 32
        assert client.headers == {
            "x-trace-id": client.headers["x-trace-id"],
            "content-type": "text/event-stream",
            "cache-control": "no-store",
            "x-accel-buffering": "no",
            "access-control-allow-origin": "*",
        }
        assert client.text.startswith("retry: 1000\nevent: session_ready\ndata: {")
        assert client.shorts == ["session_ready", "static 1:0 0", "static 0:0 0", "delta 0:0 3"]
        ready = client.events[0].data
        assert ready["chunks"] == ["1:0", "0:0"]
        assert (ready["protocol"], ready["tick_hz"], ready["resumed"]) == (1, 5, False)


async def test_each_id_names_what_was_sent_and_no_more() -> None:
    async with a_stage() as stage:
        client = stage.watch("chunks=1:0,0:0")
        await soon()
        await stage.scene.shard.say(3, arrival())
        await soon()
        ids = [event.id for event in client.events]
        assert ids == [None, "1.0.1~0~1~0", "1.0.1~0~1~0.0~0~1~0", "1.0.1~0~1~0.0~0~1~3"]


async def test_a_websocket_carries_the_same_stream() -> None:
    async with a_stage() as stage:
        events, frames = stage.watch("chunks=1:0,0:0"), stage.watch_ws("chunks=1:0,0:0")
        await soon()
        await stage.scene.shard.say(3, arrival())
        await soon()
        assert frames.events == events.events
        assert frames.sent[0]["type"] == "websocket.accept"


@pytest.mark.parametrize("message", [{"text": "hello", "bytes": None}, {"bytes": b"\x00"}])
async def test_a_client_that_speaks_is_closed_with_1008(message: dict[str, Any]) -> None:
    async with a_stage() as stage:
        client, other = stage.watch_ws(), stage.watch_ws()
        await soon()
        client.says.send_nowait({"type": "websocket.receive", **message})
        await client.done.wait()
        assert client.sent[-1] == {"type": "websocket.close", "code": 1008, "reason": "read_only"}
        await stage.scene.shard.say(1, arrival())
        await soon()
        assert other.shorts[-1] == "delta 0:0 1"
        assert stage.spectators.count == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "PATCH"])
async def test_other_methods_are_405(method: str) -> None:
    async with a_stage() as stage:
        client = stage.watch(method=method)
        await client.done.wait()
        assert client.status == 405
        assert client.headers["allow"] == "GET, OPTIONS"
        assert json.loads(client.text)["code"] == "method_not_allowed"


async def test_options_names_the_methods_and_has_no_content() -> None:
    async with a_stage() as stage:
        client = stage.watch(method="OPTIONS")
        await client.done.wait()
        assert client.status == 204
        assert client.headers["allow"] == "GET, OPTIONS"
        assert len(client.headers["x-trace-id"]) == 32
        assert "content-type" not in client.headers
        assert client.text == ""


@pytest.mark.parametrize(
    "headers", [[(b"content-length", b"2")], [(b"transfer-encoding", b"chunked")]]
)
async def test_a_body_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    async with a_stage() as stage:
        client = stage.watch(headers=headers)
        await client.done.wait()
        assert client.status == 422
        assert json.loads(client.text)["errors"][0]["path"] == "$"


async def test_a_bad_view_is_refused_by_both_with_reasons() -> None:
    async with a_stage() as stage:
        for client in (stage.watch("chunks=0:0,x"), stage.watch_ws("chunks=0:0,x")):
            await client.done.wait()
            assert client.status == 422
            assert client.headers["content-type"] == "application/problem+json"
            problem = json.loads(client.text)
            assert problem["code"] == "validation_failed"
            assert [error["path"] for error in problem["errors"]] == ["chunks[1]"]
            assert problem["trace_id"] == client.headers["x-trace-id"]


async def test_an_address_has_so_many_streams_and_the_gateway_too() -> None:
    settings = Settings(spectators_per_address=2, spectators_max=3)
    async with a_stage(settings) as stage:
        first, _ = stage.watch(), stage.watch_ws()
        await soon()
        third = stage.watch()
        await third.done.wait()
        assert third.status == 429
        assert json.loads(third.text)["code"] == "rate_limited"
        assert int(third.headers["retry-after"]) >= 1
        stage.watch(client=("192.0.2.2", 1))
        await soon()
        fourth = stage.watch_ws(client=("192.0.2.3", 1))
        await fourth.done.wait()
        assert fourth.status == 503
        assert int(fourth.headers["retry-after"]) >= 1
        first.says.send_nowait({"type": "http.disconnect"})
        await first.done.wait()
        again = stage.watch()
        await soon()
        assert again.status == 200


async def test_a_client_that_goes_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    async with a_stage() as stage:
        clients = [stage.watch("chunks=0:0,1:0"), stage.watch_ws("chunks=0:0,1:0")]
        await soon()
        assert stage.spectators.count == 2
        clients[0].says.send_nowait({"type": "http.disconnect"})
        clients[1].says.send_nowait({"type": "websocket.disconnect", "code": 1006})
        for client in clients:
            await client.done.wait()
        assert stage.spectators.count == 0
        await trio.sleep(30)
        assert len(stage.scene.feeds) == 0


async def test_a_comment_comes_at_least_every_15_seconds(autojump_clock: MockClock) -> None:
    async with a_stage() as stage:
        client = stage.watch()
        for _ in range(6):
            await trio.sleep(15)
            bodies = [message["body"] for message in client.sent[1:]]
            assert b":\n" in bodies
            client.sent[1:] = []


async def test_every_block_of_an_event_stream_is_an_event(autojump_clock: MockClock) -> None:
    """Also for clients that dispatch an empty event at each blank line, against the standard."""
    async with a_stage() as stage:
        client = stage.watch()
        for tick in range(1, 30):
            await trio.sleep(3)
            await stage.scene.shard.say(tick)
        await soon()
        *blocks, rest = client.text.split("\n\n")
        assert rest in ("", ":\n")
        assert all("\ndata: {" in block for block in blocks)


async def test_a_busy_stream_has_comments_too(autojump_clock: MockClock) -> None:
    async with a_stage() as stage:
        client = stage.watch()
        for tick in range(1, 100):
            await stage.scene.shard.say(tick)
            await trio.sleep(0.2)
        assert client.text.count("\n\n:\n") == int(20 / HEARTBEAT_SECONDS) - 1


async def test_a_chunk_whose_shard_is_down_does_not_hold_up_the_others(
    autojump_clock: MockClock,
) -> None:
    async with a_stage() as stage:
        stage.scene.shard.is_up = False
        client = stage.watch("chunks=1:0,0:0")
        await soon()
        await stage.scene.shard.show(HERE)
        await trio.sleep(0.1)
        assert client.new() == ["session_ready"], "it waits a moment for its turn"
        await trio.sleep(2)
        assert client.new() == ["static 0:0 0"]
        await stage.scene.shard.show(THERE)
        await soon()
        assert client.new() == ["static 1:0 0"]


async def test_a_gap_that_nothing_fills_is_announced() -> None:
    async with a_stage() as stage:
        client = stage.watch()
        await soon()
        await stage.scene.shard.say_unheard(2, arrival())
        stage.scene.redis.deltas.clear()
        await stage.scene.shard.say(5, step())
        await soon()
        assert client.shorts == [
            "session_ready", "static 0:0 0", "resync out_of_range 0:0", "static 0:0 5"
        ]  # fmt: skip
        assert client.events[2].id is None
        assert client.events[3].id == "1.5.0~0~1~0"


async def test_who_comes_back_gets_what_was_missed_chunk_by_chunk() -> None:
    async with a_stage() as stage:
        client = stage.watch("chunks=0:0,1:0")
        await soon()
        await stage.scene.shard.say(1, arrival())
        await soon()
        client.says.send_nowait({"type": "http.disconnect"})
        await client.done.wait()
        await stage.scene.shard.say(4, arrival("bob"), chunk=THERE)
        await stage.scene.shard.say(5, step())
        await stage.scene.shard.say(7, step(x=0))
        await soon()
        header = (b"last-event-id", last_id(client).encode())
        again = stage.watch("chunks=0:0,1:0", headers=[header])
        on_ws = stage.watch_ws(f"chunks=0:0,1:0&last_event_id={last_id(client)}")
        await soon()
        await stage.scene.shard.say(9, step(x=1))
        await soon()
        for back in (again, on_ws):
            assert back.shorts == [
                "session_ready", "delta 0:0 5", "delta 0:0 7", "delta 1:0 4", "delta 0:0 9"
            ]  # fmt: skip
            assert back.events[0].data["resumed"] is True
            assert last_id(back) == "1.4.0~0~1~5.1~0~1~0"


async def test_twenty_five_chunks_go_on_without_a_gap_while_deltas_arrive() -> None:
    wide = [ChunkId(f"{cx}:{cy}") for cx in range(-2, 3) for cy in range(-2, 3)]
    query = f"chunks={','.join(wide)}"
    async with a_stage() as stage:
        client = stage.watch(query)
        await soon()
        for tick, chunk in enumerate(wide, 1):
            await stage.scene.shard.say(tick, chunk=chunk)
        await soon()
        client.says.send_nowait({"type": "http.disconnect"})
        await client.done.wait()
        for tick, chunk in enumerate(wide, 101):
            await stage.scene.shard.say(tick, chunk=chunk)
        again = stage.watch(f"{query}&last_event_id={last_id(client)}")
        for tick in range(201, 211):
            for chunk in wide:
                await stage.scene.shard.say(tick, chunk=chunk)
            await trio.lowlevel.checkpoint()
        await soon()
        assert "static" not in " ".join(again.shorts)
        for at, chunk in enumerate(wide):
            told = [short for short in again.shorts if f" {chunk} " in short]
            ticks = [101 + at, *range(201, 211)]
            assert told == [f"delta {chunk} {tick}" for tick in ticks]


async def test_who_comes_back_after_redis_lost_everything_is_told_so() -> None:
    async with a_stage() as stage:
        client = stage.watch("chunks=0:0,1:0")
        await soon()
        await stage.scene.shard.say(1, arrival())
        await soon()
        id = last_id(client)
        stage.scene.redis.forget()
        await stage.scene.shard.say(2, step())
        await stage.scene.shard.say(3, step(x=0))
        await soon()
        again = stage.watch(f"chunks=0:0,1:0&last_event_id={id}")
        await soon()
        stage.scene.redis.forget()
        await stage.scene.shard.say(4, step())
        await soon()
        assert again.shorts == ["session_ready", "delta 0:0 2", "delta 0:0 3", "delta 0:0 4"]
        stage.scene.redis.forget()
        late = stage.watch(f"chunks=0:0,1:0&last_event_id={id}")
        await soon()
        assert late.shorts == ["session_ready", "resync out_of_range 0:0", "static 0:0 4"]


async def test_an_id_of_the_middle_of_the_first_statics_is_enough() -> None:
    async with a_stage() as stage:
        client = stage.watch("chunks=0:0,1:0")
        await soon()
        middle = client.events[1].id
        assert middle is not None
        again = stage.watch("chunks=0:0,1:0", headers=[(b"last-event-id", middle.encode())])
        await soon()
        assert again.shorts == ["session_ready", "static 1:0 0"]


async def test_an_id_goes_on_with_another_list_of_chunks() -> None:
    async with a_stage() as stage:
        client = stage.watch("chunks=0:0")
        await soon()
        again = stage.watch(f"chunks=1:0,0:0&last_event_id={last_id(client)}")
        await soon()
        await stage.scene.shard.say(1, arrival())
        await soon()
        assert again.shorts == ["session_ready", "static 1:0 0", "delta 0:0 1"]


async def test_what_is_no_longer_kept_is_out_of_range() -> None:
    async with a_stage() as stage:
        client = stage.watch("chunks=0:0,1:0")
        await soon()
        await stage.scene.shard.say(1, arrival())
        await stage.scene.shard.say(2, step())
        await soon()
        stage.scene.redis.deltas.clear()
        (_, _, early, *_) = [event.id for event in client.events]
        again = stage.watch(f"chunks=0:0,1:0&last_event_id={early}")
        await soon()
        assert again.shorts == ["session_ready", "resync out_of_range 0:0", "static 0:0 2"]


async def test_an_id_that_is_not_ours_is_out_of_range_for_all_chunks() -> None:
    async with a_stage() as stage:
        client = stage.watch("chunks=0:0,1:0", headers=[(b"last-event-id", b"evt-17")])
        await soon()
        assert client.shorts == [
            "session_ready", "resync out_of_range 0:0", "static 0:0 0",
            "resync out_of_range 1:0", "static 1:0 0",
        ]  # fmt: skip


async def test_a_slow_reader_is_resynced_and_nobody_else_notices(
    autojump_clock: MockClock,
) -> None:
    async with a_stage() as stage:
        slow, other = stage.watch("chunks=0:0,1:0"), stage.watch("chunks=0:0,1:0")
        await soon()
        slow.new()
        slow.reads = trio.Event()
        last = 4 * SPECTATOR_QUEUE_MAX  # However long it stands still, that is one overflow.
        for tick in range(1, last + 1):
            await stage.scene.shard.say(tick)
            await soon()
        assert other.shorts[-1] == f"delta 0:0 {last}"
        slow.reads.set()
        await soon()
        assert slow.new() == [
            "delta 0:0 1", "resync slow", f"static 0:0 {last}", "static 1:0 0"
        ]  # fmt: skip
        await stage.scene.shard.say(last + 1)
        await soon()
        assert slow.new() == [f"delta 0:0 {last + 1}"]


async def test_the_third_time_within_a_minute_it_is_sent_away(autojump_clock: MockClock) -> None:
    async with a_stage() as stage:
        slow, frames = stage.watch(), stage.watch_ws()
        await soon()
        tick = 0
        for times in range(3):
            for client in (slow, frames):
                client.reads = trio.Event()
            for _ in range(SPECTATOR_QUEUE_MAX + 2):
                tick += 1
                await stage.scene.shard.say(tick)
                await soon()
            assert slow.done.is_set() is False
            for client in (slow, frames):
                client.reads.set()
            await soon()
            assert slow.shorts.count("resync slow") == min(times + 1, 2)
        assert slow.done.is_set()
        assert slow.sent[-1]["more_body"] is False
        assert frames.done.is_set()
        assert frames.sent[-1]["code"] == 4008


async def test_who_is_sent_away_and_does_not_read_that_is_cut_off(
    autojump_clock: MockClock,
) -> None:
    async with a_stage() as stage:
        slow, frames = stage.watch(), stage.watch_ws()
        await soon()
        tick = 0
        for times in range(3):
            for client in (slow, frames):
                client.reads = trio.Event()
            for _ in range(SPECTATOR_QUEUE_MAX + 2):
                tick += 1
                await stage.scene.shard.say(tick)
                await soon()
            for client in (slow, frames):
                client.reads.set() if times < 2 else None
            await soon()
        await trio.sleep(FAREWELL_SECONDS_MAX - 1)
        assert [slow.done.is_set(), frames.done.is_set()] == [False, False]
        await trio.sleep(1 + 2 * SWEEP_SECONDS)
        assert [slow.done.is_set(), frames.done.is_set()] == [True, True]
        assert stage.spectators.count == 0


async def test_a_minute_without_reading_one_busy_chunk_is_a_resync(
    autojump_clock: MockClock,
) -> None:
    async with a_stage() as stage:
        slow, frames = stage.watch(), stage.watch_ws()
        await soon()
        for client in (slow, frames):
            client.new()
            client.reads = trio.Event()
        last = SPECTATOR_QUEUE_MAX + 50
        for tick in range(1, last + 1):
            await stage.scene.shard.say(tick)
            await trio.sleep(TICK_SECONDS)
        for client in (slow, frames):
            client.reads.set()
            await soon()
            assert client.new() == ["delta 0:0 1", "resync slow", f"static 0:0 {last}"]


async def test_what_is_under_way_to_a_slow_reader_is_little_and_the_rest_can_be_dropped(
    autojump_clock: MockClock,
) -> None:
    async with a_stage() as stage:
        slow = stage.watch()
        await soon()
        slow.new()
        slow.reads = trio.Event()
        for tick in range(1, SPECTATOR_QUEUE_MAX):
            await stage.scene.shard.say(tick)
            await soon()
        slow.reads.set()
        slow.pace = 1.0
        await trio.sleep(1.5)
        slow.reads = trio.Event()
        for tick in range(SPECTATOR_QUEUE_MAX, 3 * SPECTATOR_QUEUE_MAX):
            await stage.scene.shard.say(tick)
            await soon()
        slow.reads.set()
        slow.pace = 0.0
        await trio.sleep(2)
        deltas = slow.new().index("resync slow")
        assert deltas <= 1 + 2 * SPECTATOR_TAKE_MAX
        assert max(len(message["body"]) for message in slow.sent[1:]) <= 5000


async def test_a_write_that_is_stuck_ends_the_stream(autojump_clock: MockClock) -> None:
    async with a_stage() as stage:
        client = stage.watch()
        await soon()
        client.reads = trio.Event()
        await stage.scene.shard.say(1)
        await trio.sleep(STILL_SECONDS_MAX - 1)
        assert not client.done.is_set()
        await trio.sleep(3)
        assert client.done.is_set()
        assert stage.spectators.count == 0


async def test_streams_end_at_once_when_the_gateway_stops() -> None:
    async with a_stage() as stage:
        events, frames = stage.watch(), stage.watch_ws()
        await soon()
        stage.stop.set()
        await events.done.wait()
        await frames.done.wait()
        assert events.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
        assert (frames.sent[-1]["type"], frames.sent[-1]["code"]) == ("websocket.close", 1012)
        late = stage.watch()
        await late.done.wait()
        assert late.status == 503


async def test_streams_that_have_a_task_of_their_own_end_one_after_another_too(
    autojump_clock: MockClock,
) -> None:
    async with a_stage(Settings(spectators_per_address=0)) as stage:
        clients = [stage.watch() if n % 2 else stage.watch_ws() for n in range(60)]
        await soon()
        began, ended = trio.current_time(), dict[int, float]()

        async def wait(number: int) -> None:
            await clients[number].done.wait()
            ended[number] = trio.current_time() - began

        async with trio.open_nursery() as nursery:
            for number in range(60):
                nursery.start_soon(wait, number)
            stage.stop.set()
        assert len(set(ended.values())) == 60 / ENDINGS_AT_ONCE
        assert max(ended.values()) <= STREAMS_ENDED_SECONDS


async def test_who_joins_others_while_the_gateway_stops_is_ended_with_the_last(
    autojump_clock: MockClock,
) -> None:
    async with a_stage() as stage:
        await soon()
        assert stage.spectators._house is not None
        clients = [watch(stage.spectators._house, View((HERE,)), room=10) for _ in range(40)]
        await soon()
        stage.stop.set()
        await trio.sleep(ENDINGS_STEP_SECONDS / 2)
        for client in clients:
            client.socket.have_room(None)
        await trio.sleep(STREAMS_ENDED_SECONDS)
        assert all(client.ended.is_set() and client.seen.has_ended for client in clients)


async def test_a_busy_start_has_no_delta_before_its_static_and_none_twice() -> None:
    async with a_stage() as stage:
        for tick in range(1, 40):
            await stage.scene.shard.say(tick)
            if tick % 10 == 0:
                stage.watch()
        client = stage.watch()
        for tick in range(40, 60):
            await stage.scene.shard.say(tick)
        await soon()
        first, *deltas = client.shorts[1:]
        assert first.startswith("static 0:0 ")
        begin = int(first.split()[-1])
        assert deltas == [f"delta 0:0 {tick}" for tick in range(begin + 1, 60)]
