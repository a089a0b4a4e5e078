"""The protocol's agent side, by a client that shares no code with the server."""

from __future__ import annotations

import httpx
import pytest
import trio
from trio_websocket import ConnectionRejected

from tests.end_to_end.cluster import Cluster
from tests.end_to_end.stranger import (
    Frame,
    Stranger,
    connected,
    joined,
    post,
    session_of,
    signed_up,
    socket_to,
)

pytestmark = pytest.mark.cluster

WAIT = {"name": "wait", "ticks": 1}
LONG_WAIT = {"name": "wait", "ticks": 50}
HELLO = {"name": "say", "text": "hello — ünïcode"}


async def test_the_first_frames_are_session_ready_and_chunk_static(
    cluster: Cluster, name: str
) -> None:
    async with joined(cluster.url(), name) as agent:
        ready = agent.ready
        assert ready["protocol"] == 1
        assert ready["resumed"] is False
        assert ready["tick_hz"] == 5
        assert ready["agent_id"] == agent.agent_id
        assert ready["limits"] == {
            "commands_per_s": 10,
            "chat_per_min": 0,
            "challenge_ttl_ms": 2000,
        }
        assert set(ready["challenge"]) == {"nonce", "expires_at"}
        static = await agent.next("chunk_static")
        assert static["chunk"] == ready["chunk"]
        assert len(static["terrain"]) == static["size"] == 50
        assert {len(row) for row in static["terrain"]} == {50}
        assert agent.agent_id in [entity["id"] for entity in static["entities"]]


async def test_two_steps_lead_from_a_request_to_a_result(cluster: Cluster, name: str) -> None:
    async with joined(cluster.url(), name) as agent:
        ack = await agent.ask("c-1", HELLO)
        assert (ack["status"], ack["seq"]) == ("accepted", 1)
        result = await agent.next("result")
        assert (result["id"], result["seq"], result["status"]) == ("c-1", 2, "completed")
        assert result["tick"] >= ack["tick"]


async def test_pipelining_takes_one_step_and_a_nonce_is_good_once(
    cluster: Cluster, name: str
) -> None:
    async with joined(cluster.url(), name) as agent:
        first = await agent.ask_at_once("c-1", WAIT, agent.ready["challenge"])
        assert first["status"] == "accepted"
        await agent.next("result")
        second = await agent.ask_at_once("c-2", WAIT, first["challenge"])
        assert second["status"] == "accepted"
        await agent.next("result")
        replayed = await agent.ask_at_once("c-3", WAIT, first["challenge"])
        assert (replayed["status"], replayed["code"]) == ("rejected", "challenge_unknown")


async def test_an_id_sent_again_is_answered_as_before_and_done_once(
    cluster: Cluster, name: str
) -> None:
    async with joined(cluster.url(), name) as agent:
        ack = await agent.ask("same", HELLO)
        result = await agent.next("result")
        await agent.send({"type": "command_req", "id": "same", "command": WAIT})
        again = await agent.next_for("same", "ack", "challenge")
        assert (again["type"], again["seq"], again["tick"]) == ("ack", ack["seq"], ack["tick"])
        assert await agent.next("result") == result
        assert len([f for f in agent.frames if said(f, agent.agent_id)]) == 1


async def test_a_wrong_signature_is_refused_and_three_bring_a_cooldown_on_every_gateway(
    cluster: Cluster, name: str
) -> None:
    who = await signed_up(cluster.url(), name)
    session = await session_of(cluster.url(), who["api_key"])
    async with connected(cluster.url(), session, who["agent_id"]) as agent:
        for number in range(3):
            await agent.send({"type": "command_req", "id": f"c-{number}", "command": WAIT})
            challenge = await agent.next("challenge")
            await agent.answer(f"c-{number}", WAIT, challenge, agent_id="agt_somebody_else")
            ack = await agent.next("ack")
            assert ack["code"] == "invalid_signature"
        ack = await agent.ask("c-9", WAIT)
        assert ack["code"] == "cooldown"
        assert 0 < ack["retry_after_ms"] <= 30_000
    session = await session_of(cluster.url(1), who["api_key"])
    async with connected(cluster.url(1), session, who["agent_id"]) as agent:
        assert (await agent.ask("c-1", WAIT))["code"] == "cooldown"


async def test_a_stale_challenge_is_expired(cluster: Cluster, name: str) -> None:
    async with joined(cluster.url(), name) as agent:
        await agent.send({"type": "command_req", "id": "c-1", "command": WAIT})
        challenge = await agent.next("challenge")
        await trio.sleep(2.2)
        await agent.answer("c-1", WAIT, challenge)
        assert (await agent.next("ack"))["code"] == "challenge_expired"


async def test_a_session_is_resumed_on_another_gateway_with_nothing_missed(
    cluster: Cluster, name: str
) -> None:
    who = await signed_up(cluster.url(), name)
    session = await session_of(cluster.url(), who["api_key"])
    async with connected(cluster.url(0), session, who["agent_id"]) as agent:
        token = agent.ready["resume_token"]
        await agent.ask("c-1", HELLO)
        await agent.next("result")
        ack = await agent.ask("c-2", {"name": "wait", "ticks": 5})
        assert ack["seq"] == 3
    query = f"?resume={token}&last_seq=1"
    async with connected(cluster.url(1), session, who["agent_id"], query) as agent:
        assert agent.ready["resumed"] is True
        assert agent.ready["resume_token"] != token
        caught_up = [await agent.next("ack", "result", "chunk_static") for _ in range(3)]
        kinds = [(frame["type"], frame.get("seq")) for frame in caught_up]
        assert kinds[:2] == [("result", 2), ("ack", 3)]
        rest = [caught_up[2], await agent.next("ack", "result", "chunk_static")]
        assert sorted(f["type"] for f in rest) == ["chunk_static", "result"]
        await agent.ask("c-3", WAIT)
    with pytest.raises(ConnectionRejected) as refused:
        async with connected(cluster.url(0), session, who["agent_id"], query):
            pass
    assert refused.value.status_code == 409


async def test_a_second_connection_takes_over_and_the_first_closes_with_4001(
    cluster: Cluster, name: str
) -> None:
    who = await signed_up(cluster.url(), name)
    session = await session_of(cluster.url(), who["api_key"])
    async with connected(cluster.url(0), session, who["agent_id"]) as first:
        async with connected(cluster.url(1), session, who["agent_id"]) as second:
            assert await first.close_code() == 4001
            assert first.frames[-1]["type"] == "goodbye"
            assert (await second.ask("c-1", WAIT))["status"] == "accepted"


async def test_of_connections_that_come_at_once_one_stays_and_the_others_close_with_4001(
    cluster: Cluster, name: str
) -> None:
    who = await signed_up(cluster.url(), name)
    session = await session_of(cluster.url(), who["api_key"])
    ends: list[int | None] = []

    async def come(number: int) -> None:
        url = cluster.url(number % 2) + session["ws_path"]
        async with socket_to(url, f"Bearer {session['session_token']}") as socket:
            agent = Stranger(socket, session, who["agent_id"])
            with trio.move_on_after(4):
                ends.append(await agent.close_code())

    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(come, number)
    assert ends == [4001] * 5


@pytest.mark.parametrize("all_speak", [False, True])
async def test_of_resumes_that_come_at_once_one_stays_and_can_resume_with_its_own_token(
    cluster: Cluster, name: str, all_speak: bool
) -> None:
    """Tokens are offered and connections bound in any order, so one race proves little."""
    who = await signed_up(cluster.url(), name)
    session = await session_of(cluster.url(), who["api_key"])
    async with connected(cluster.url(), session, who["agent_id"]) as first:
        await first.ask("c-0", HELLO)
        token = first.ready["resume_token"]
    for turn in range(20):
        used, token = token, await _race(cluster, session, who, token, all_speak)
        query = f"?resume={used}&last_seq=0"
        with pytest.raises(ConnectionRejected) as refused:
            async with connected(cluster.url(turn % 2), session, who["agent_id"], query):
                pass
        assert refused.value.status_code == 409


async def _race(cluster: Cluster, session: Frame, who: Frame, token: str, all_speak: bool) -> str:
    """Return the token of the one of six that stays, and speaks, and is cut."""
    ends: list[int] = []
    stay: list[str] = []
    others_ended = trio.Event()

    async def come(number: int) -> None:
        query = f"?resume={token}&last_seq=0"
        url = cluster.url(number % 2) + session["ws_path"] + query
        try:
            async with socket_to(url, f"Bearer {session['session_token']}") as socket:
                agent = Stranger(socket, session, who["agent_id"])
                if all_speak:
                    await agent.send({"type": "cancel", "id": "none"})
                await stay_or_go(agent)
        except ConnectionRejected as rejected:
            assert rejected.status_code == 409, "one that spoke has outdated the token"
            end(rejected.status_code)

    async def stay_or_go(agent: Stranger) -> None:
        code = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(speak_once_alone, agent, nursery.cancel_scope)
            code = await agent.close_code()
            nursery.cancel_scope.cancel()
        if code is not None:
            end(code)

    async def speak_once_alone(agent: Stranger, reading: trio.CancelScope) -> None:
        await others_ended.wait()
        await agent.send({"type": "cancel", "id": "alone"})
        while not any(frame.get("id") == "alone" for frame in agent.frames):
            await trio.sleep(0.01)
        (ready,) = [frame for frame in agent.frames if frame["type"] == "session_ready"]
        assert ready["resumed"] is True
        stay.append(ready["resume_token"])
        reading.cancel()

    def end(code: int) -> None:
        ends.append(code)
        if len(ends) == 5:
            others_ended.set()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for number in range(6):
                nursery.start_soon(come, number)
    assert set(ends) <= ({4001, 409} if all_speak else {4001})
    assert (len(ends), len(stay)) == (5, 1)
    return stay[0]


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("POST", "/v1/sessions", 4001),
        ("DELETE", "/v1/sessions/current", 4003),
        ("DELETE", "/v1/keys/{key}", 4003),
    ],
)
async def test_a_session_that_ends_under_a_command_brings_its_result_first(
    cluster: Cluster, name: str, method: str, path: str, code: int
) -> None:
    who = await signed_up(cluster.url(), name)
    session = await session_of(cluster.url(), who["api_key"])
    async with connected(cluster.url(0), session, who["agent_id"]) as agent:
        assert (await agent.ask("c-1", LONG_WAIT))["status"] == "accepted"
        is_session = path.endswith("current")
        token = session["session_token"] if is_session else who["api_key"]
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=cluster.url(1), trust_env=False) as http:
            asked = path.format(key=who["key_id"])
            body: Frame | None = {} if method == "POST" else None
            answer = await http.request(method, asked, headers=headers, json=body)
        assert answer.is_success, answer.text
        began = trio.current_time()
        assert await agent.close_code() == code
        assert trio.current_time() - began < 2
        assert agent.frames[-1]["type"] == "goodbye"
        (result,) = [frame for frame in agent.frames if frame["type"] == "result"]
        assert (result["id"], result["seq"]) == ("c-1", 2)
        assert (result["status"], result["reason"]) == ("failed", "session_ended")


async def test_scopes_are_kept(cluster: Cluster, name: str) -> None:
    async with joined(cluster.url(), name, scopes=["chat"]) as agent:
        assert (await agent.ask("c-1", WAIT))["code"] == "scope_missing"
        assert (await agent.ask("c-2", HELLO))["status"] == "accepted"
        await agent.next("result")
        assert not [f for f in agent.frames if f["type"].startswith("chunk_")]


async def test_too_many_commands_are_limited_with_the_time_to_wait(
    cluster: Cluster, name: str
) -> None:
    async with joined(cluster.url(), name) as agent:
        acks = []
        for number in range(30):
            await agent.send({"type": "command_req", "id": f"c-{number}", "command": HELLO})
        for number in range(30):
            acks.append(await agent.next_for(f"c-{number}", "challenge", "ack"))
        limited = [ack for ack in acks if ack.get("code") == "rate_limited"]
        assert limited
        assert all(ack["retry_after_ms"] > 0 for ack in limited)


async def test_a_connection_without_a_good_token_is_refused_before_the_upgrade(
    cluster: Cluster,
) -> None:
    for authorization in ("", "Bearer tss_x_y"):
        with pytest.raises(ConnectionRejected) as refused:
            async with socket_to(cluster.url() + "/v1/agent", authorization):
                pass
        assert refused.value.status_code == 401


async def test_a_token_may_come_as_a_subprotocol(cluster: Cluster, name: str) -> None:
    who = await signed_up(cluster.url(), name)
    session = await session_of(cluster.url(), who["api_key"])
    offered = ["tessera.v1", f"bearer.{session['session_token']}"]
    async with socket_to(cluster.url() + "/v1/agent", subprotocols=offered) as socket:
        assert socket.subprotocol == "tessera.v1"
        assert '"session_ready"' in await socket.get_message()


async def test_the_public_pages_answer(cluster: Cluster) -> None:
    async with httpx.AsyncClient(base_url=cluster.url(), trust_env=False) as http:
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        assert (await http.get("/readyz")).status_code == 200
        assert (await http.get("/metrics")).status_code == 404
        world = (await http.get("/v1/world")).json()
        assert (world["tick_hz"], world["chunk_size"], world["shard_count"]) == (5, 50, 2)
        assert (await http.get("/openapi.json")).json()["openapi"].startswith("3.1")
        assert (await http.get("/asyncapi.json")).json()["asyncapi"].startswith("3.")
        assert len((await http.get("/skill.md")).text) < 12_000
        assert "<canvas" in (await http.get("/")).text


async def test_a_name_is_taken_once_without_regard_to_case(cluster: Cluster, name: str) -> None:
    await signed_up(cluster.url(), name)
    answer = await post(cluster.url(1), "/v1/signup", {"name": name.upper()})
    assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")


def said(frame: dict[str, object], agent_id: str) -> bool:
    events = frame.get("events")
    if frame["type"] != "chunk_delta" or not isinstance(events, list):
        return False
    return any(event["type"] == "said" and event["id"] == agent_id for event in events)


async def test_many_who_reconnect_in_the_middle_of_commands_are_all_let_in(
    cluster: Cluster, name: str
) -> None:
    """Each connection is cut at another moment: asked, acked, or with an answer on its way."""
    turns = trio.CapacityLimiter(12)

    async def visit(number: int) -> None:
        async with turns:
            who = await signed_up(cluster.url(number % 2), f"{name}-{number}")
            session = await session_of(cluster.url(number % 2), who["api_key"])
            for turn in range(3):
                url = cluster.url((number + turn) % 2)
                async with connected(url, session, who["agent_id"]) as agent:
                    match (number + turn) % 4:
                        case 0:
                            request = {"type": "command_req", "id": "c", "command": WAIT}
                            await agent.send(request)
                        case 1:
                            await agent.ask(f"c-{turn}", WAIT)
                        case 2:
                            await agent.ask_at_once(f"c-{turn}", HELLO, agent.ready["challenge"])
                        case _:
                            pass

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for number in range(30):
                nursery.start_soon(visit, number)
