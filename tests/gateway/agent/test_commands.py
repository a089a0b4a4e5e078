"""The endpoint over memory adapters: commands, their answers and their limits."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from common.accounts import Scope
from common.envelopes import CancelOffered
from tests.gateway.agent.scene import MOVE, SAY, a_scene


async def test_a_command_goes_to_its_shard_and_back(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        ack = await client.command("c-1")
        assert (ack["id"], ack["status"], ack["seq"]) == ("c-1", "accepted", 1)
        await scene.shard.finish(client.ticket.session)
        result = await client.until("result")
        assert (result["id"], result["status"], result["seq"]) == ("c-1", "completed", 2)
        assert (result["chunk"], result["position"]) == ("0:0", {"x": 3, "y": 4})


async def test_a_pipelined_command_goes_straight_to_its_ack(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        challenge = client.seen[0]["challenge"]
        proof = {
            "nonce": challenge["nonce"],
            "signature": client.sign("c-1", MOVE, challenge),
        }
        await client.say(type="command_req", id="c-1", command=MOVE, answer=proof)
        ack = await client.until("ack")
        assert ack["status"] == "accepted"
        assert "challenge" not in [frame["type"] for frame in client.seen]


async def test_the_shards_refusal_is_passed_on(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        scene.shard.refuse = "not_walkable"
        client = await scene.connect(await scene.ticket())
        ack = await client.command("c-1")
        assert (ack["status"], ack["code"]) == ("rejected", "not_walkable")
        assert "challenge" in ack
        assert "seq" not in ack


async def test_what_is_said_is_heard_in_the_chunk(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        ada = await scene.connect(await scene.ticket("ada"))
        bob = await scene.connect(await scene.ticket("bob"))
        await bob.until("chunk_static")
        await ada.command("s-1", SAY)
        assert (await ada.until("result"))["status"] == "completed"
        delta = await bob.until("chunk_delta")
        assert delta["events"] == [{"type": "said", "id": "agt_ada", "text": "hello"}]


async def test_a_cancel_ends_the_command_in_flight(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        await client.command("c-1")
        await client.say(type="cancel", id="c-1")
        result = await client.until("result")
        assert (result["status"], result["reason"]) == ("failed", "cancelled")
        assert len(scene.shard.of(CancelOffered)) == 1


async def test_commands_are_limited_by_the_session_and_told_when_to_come_back(
    autojump_clock: MockClock,
) -> None:
    async with a_scene(commands_per_s=2, chat_per_min=0) as scene:
        client = await scene.connect(await scene.ticket())
        for number in range(4):
            assert (await client.command(f"s-{number}", SAY))["status"] == "accepted"
        await client.say(type="command_req", id="s-5", command=SAY)
        ack = await client.until("ack")
        assert ack["code"] == "rate_limited"
        await trio.sleep(ack["retry_after_ms"] / 1000)
        assert (await client.command("s-5", SAY))["status"] == "accepted"


async def test_chat_is_limited_by_the_agent(autojump_clock: MockClock) -> None:
    async with a_scene(commands_per_s=0, chat_per_min=2) as scene:
        client = await scene.connect(await scene.ticket())
        await client.command("s-1", SAY)
        await client.command("s-2", SAY)
        await client.say(type="command_req", id="s-3", command=SAY)
        assert (await client.until("ack"))["code"] == "rate_limited"
        assert (await client.command("c-1"))["status"] == "accepted"


async def test_wrong_answers_put_the_agent_on_cooldown_on_every_gateway(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        ticket = await scene.ticket()
        client = await scene.connect(ticket)
        for number in range(3):
            await client.say(type="command_req", id=f"c-{number}", command=MOVE)
            nonce = (await client.until("challenge"))["nonce"]
            await client.say(type="answer", id=f"c-{number}", nonce=nonce, signature="wrong")
            assert (await client.until("ack"))["code"] == "invalid_signature"
        await client.say(type="command_req", id="c-9", command=MOVE)
        ack = await client.until("ack")
        assert ack["code"] == "cooldown"
        assert 29_000 < ack["retry_after_ms"] <= 30_000
        elsewhere = await (await scene.gateway("gateway-2")).connect(ticket)
        await elsewhere.say(type="command_req", id="c-9", command=MOVE)
        assert (await elsewhere.until("ack"))["code"] == "cooldown"
        await trio.sleep(30)
        assert (await elsewhere.command("c-9"))["status"] == "accepted"


async def test_late_answers_count_too(autojump_clock: MockClock) -> None:
    async with a_scene(commands_per_s=0) as scene:
        client = await scene.connect(await scene.ticket())
        for number in range(5):
            await client.say(type="command_req", id=f"c-{number}", command=MOVE)
            challenge = await client.until("challenge")
            await trio.sleep(2.1)
            signature = client.sign(f"c-{number}", MOVE, challenge)
            await client.say(
                type="answer", id=f"c-{number}", nonce=challenge["nonce"], signature=signature
            )
            assert (await client.until("ack"))["code"] == "challenge_expired"
        await client.say(type="command_req", id="c-9", command=MOVE)
        assert (await client.until("ack"))["code"] == "cooldown"


async def test_an_accepted_command_forgives_wrong_answers(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        for number in range(4):
            await client.say(type="command_req", id=f"c-{number}", command=SAY)
            nonce = (await client.until("challenge"))["nonce"]
            await client.say(type="answer", id=f"c-{number}", nonce=nonce, signature="wrong")
            assert (await client.until("ack"))["code"] == "invalid_signature"
            if number == 1:
                assert (await client.command("s-1", SAY))["status"] == "accepted"


async def test_a_session_without_chat_may_not_say(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        ticket = await scene.ticket(scopes=frozenset({Scope.ACT, Scope.OBSERVE}))
        client = await scene.connect(ticket)
        await client.say(type="command_req", id="s-1", command=SAY)
        assert (await client.until("ack"))["code"] == "scope_missing"
