"""How a connection ends: the reason, the goodbye, the code, and in time."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from common.adapters.memory_accounts import MemoryAccounts
from common.envelopes import CommandOffered, Detach, Replaced, ResultLine
from common.events import Moved
from common.frames import Position
from common.grid import CommandId, Tick
from common.limits import (
    AGENT_QUEUE_MAX,
    AGENTS_ENDED_SECONDS,
    CLOSE_SECONDS_MAX,
    COMMAND_GRACE_MS,
    COMMAND_MS_MAX,
    ENDINGS_AT_ONCE,
    RESUME_MS,
)
from tests.gateway.agent.scene import HERE, Client, Scene, a_scene


async def test_a_gateway_that_stops_says_goodbye_to_all_within_a_second(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        clients = [await scene.connect(await scene.ticket(name)) for name in ("ada", "bob", "eve")]
        clients[2].closes = False
        began = trio.current_time()
        scene.outside.stop.set()
        for client in clients:
            goodbye, code = await client.end()
            assert goodbye["type"] == "goodbye"
            assert (goodbye["code"], goodbye["resume"], code) == (1012, True, 1012)
        for client in clients:
            await client.done.wait()
        assert trio.current_time() - began <= 1
        assert (await scene.refused(clients[0].ticket)).status == 503


async def test_those_who_are_sent_away_together_are_told_one_after_another(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        clients = [await scene.connect(await scene.ticket(f"agent-{n}")) for n in range(60)]
        began = trio.current_time()
        told: dict[int, float] = {}

        async def hear(number: int) -> None:
            await clients[number].end()
            told[number] = trio.current_time() - began

        async with trio.open_nursery() as nursery:
            for number in range(60):
                nursery.start_soon(hear, number)
            scene.outside.stop.set()
        moments = [told[number] for number in range(60)]
        assert max(moments) <= AGENTS_ENDED_SECONDS
        assert max(moments.count(moment) for moment in moments) <= ENDINGS_AT_ONCE
        assert moments != sorted(moments), "not in the order in which they came"


async def test_a_client_cut_by_a_stop_resumes_elsewhere(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        elsewhere = await scene.gateway("gateway-2")
        await client.command("c-1")
        scene.outside.stop.set()
        await client.end()
        await scene.shard.finish(client.ticket.session)
        again = await elsewhere.resume(client.ticket, client.seen[0]["resume_token"], 1)
        assert (await again.until("result"))["seq"] == 2


async def test_a_client_that_is_connecting_when_the_gateway_stops_is_refused(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        scene.shard.deaf = True
        client = scene.knock(await scene.ticket())
        await trio.sleep(1)
        scene.outside.stop.set()
        scene.shard.deaf = False
        assert (await client._to_client[1].receive())["status"] == 503


@pytest.mark.parametrize(("replaced", "code"), [(True, 4001), (False, 4003)])
async def test_an_ended_session_closes_its_connection(
    autojump_clock: MockClock, replaced: bool, code: int
) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        began = trio.current_time()
        await scene.outside.bus.end(client.ticket.session, replaced)
        goodbye, closed = await client.end()
        assert (goodbye["code"], goodbye["resume"], closed) == (code, False, code)
        assert trio.current_time() - began < 2


async def test_a_newer_session_of_the_agent_closes_the_older_with_4001(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        older = await scene.connect(await scene.ticket())
        newer = await scene.connect(await scene.ticket())
        assert (await older.end())[1] == 4001
        assert (await newer.command("c-1"))["status"] == "accepted"
        assert (await scene.refused(older.ticket)).status == 401


async def test_a_session_that_ended_while_redis_was_away_is_noticed(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        scene.redis.cut()
        await scene.accounts.end_session(client.ticket.session, scene.clock.now())
        assert (await client.end())[1] == 4003


async def test_a_session_ends_when_its_time_is_up_and_the_agent_leaves(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket(seconds=100))
        began = trio.current_time()
        assert (await client.end())[1] == 4003
        assert trio.current_time() - began == pytest.approx(100, abs=1.5)
        assert [each.session for each in scene.shard.of(Detach)] == [client.ticket.session]
        assert (await scene.refused(client.ticket)).status == 401


async def test_a_replacement_of_another_connection_is_not_ours(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        session = client.ticket.session
        older = scene.redis.bindings[session].connection - 1
        scene.redis.send(scene.outside.gateway, Replaced(session, older))
        assert (await client.command("c-1"))["status"] == "accepted"


async def flood(scene: Scene, client: Client, count: int = AGENT_QUEUE_MAX + 10) -> None:
    for _ in range(count):
        await scene.shard.say(Moved(client.ticket.agent, 1, 1), chunk=HERE)
        await wait_all_tasks_blocked()


async def test_a_client_that_never_reads_is_closed_with_4008_and_disturbs_nobody(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        slow = await scene.connect(await scene.ticket("ada"))
        await slow.until("chunk_static")
        other = await scene.connect(await scene.ticket("bob"))
        slow.reads = trio.Event()
        await flood(scene, slow)
        assert scene.agents.count == 2, "its write is stuck; that is gateway.connection's to end"
        assert (await other.command("c-1"))["status"] == "accepted"
        slow.reads.set()
        goodbye, code = await slow.end()
        assert (goodbye["code"], goodbye["resume"], code) == (4008, True, 4008)
        assert len(slow.seen) < 10, "what was queued is dropped"
        again = await scene.resume(slow.ticket, slow.seen[0]["resume_token"], 0)
        await again.until("chunk_static")


async def test_a_client_that_reads_in_time_loses_nothing(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        await client.until("chunk_static")
        client.reads = trio.Event()
        await flood(scene, client, AGENT_QUEUE_MAX)
        client.reads.set()
        ticks = [(await client.until("chunk_delta"))["tick"] for _ in range(AGENT_QUEUE_MAX)]
        assert ticks == list(range(ticks[0], ticks[0] + AGENT_QUEUE_MAX))
        assert (await client.command("c-1"))["status"] == "accepted"


async def test_too_much_said_to_the_session_at_once_closes_with_4008(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_session: object, _seq: object) -> None:
        await trio.sleep_forever()

    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        monkeypatch.setattr(scene.outside.bus, "lines_after", never)
        scene.redis.cut()
        await trio.sleep(
            0.2
        )  # Now the connection looks for lines that it may have missed, and waits.
        line = ResultLine(client.ticket.session, CommandId("x"), 1, Tick(1), HERE, Position(1, 1))
        for _ in range(AGENT_QUEUE_MAX + 10):
            scene.redis.send(scene.outside.gateway, line)
        assert (await client.end())[1] == 4008


async def test_a_client_that_does_not_close_its_side_is_left(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        client.closes = False
        await scene.outside.bus.end(client.ticket.session, replaced=False)
        await client.end()
        began = trio.current_time()
        for number in range(5):
            await client.say(type="command_req", id=f"c-{number}", command={})
        await client.done.wait()
        assert trio.current_time() - began <= CLOSE_SECONDS_MAX
        assert client.seen[-1]["type"] == "goodbye", "what it still says is not answered"


@pytest.mark.parametrize("hangs", [True, False])
@pytest.mark.parametrize("accepted", [True, False])
async def test_a_client_whose_command_nobody_can_tell_of_is_sent_to_resume(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, hangs: bool, accepted: bool
) -> None:
    async def never(*_: object) -> None:
        await trio.sleep_forever()

    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        scene.shard.deaf = True
        began = trio.current_time()
        await client.offer("c-1")
        with monkeypatch.context() as patch:
            if hangs:
                patch.setattr(MemoryAccounts, "known", never)
            scene.postgres.down = not hangs
            goodbye, code = await client.end()
        assert (goodbye["code"], goodbye["resume"], code) == (1013, True, 1013)
        assert "ack" not in [frame["type"] for frame in client.seen]
        assert trio.current_time() - began < 15
        scene.postgres.down = False
        scene.shard.deaf = False
        if accepted:
            await scene.shard.hear(scene.shard.of(CommandOffered)[0])
        again = await scene.resume(client.ticket, client.seen[0]["resume_token"], 0)
        if not accepted:
            await again.offer("c-1")
        ack = await again.until("ack")
        assert (ack["id"], ack["status"], ack["seq"]) == ("c-1", "accepted", 1)


async def test_a_client_waits_while_postgres_is_away_for_a_moment(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        scene.shard.deaf = True
        await client.offer("c-1")
        await trio.sleep((COMMAND_MS_MAX + COMMAND_GRACE_MS) / 1000 - 1)
        scene.postgres.down = True
        await trio.sleep(2)
        scene.postgres.down = False
        assert (await client.until("ack"))["code"] == "unavailable"


async def test_a_lost_connection_leaves_the_agent_in_the_world_for_a_minute(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        await client.gone()
        bus, session = scene.outside.bus, client.ticket.session
        assert await bus.is_present(session)
        await trio.sleep(RESUME_MS / 1000 - 0.1)
        assert await bus.is_present(session)
        await trio.sleep(0.2)
        assert not await bus.is_present(session)
        assert scene.shard.of(Detach) == [], "the shard sees by itself that it is gone"
