"""Conversations on sockets that have left Hypercorn: rules, order, slow and broken clients."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio

import gateway.agent.direct
from common.bus import Offer, Verdict
from common.challenge import Claim, sign
from common.events import Said
from common.grid import CommandId
from common.limits import AGENT_QUEUE_MAX, FRAMES_WAITING_MAX
from gateway.agent.actions import Action
from gateway.agent.exchange import Exchange
from gateway.kernel import close_by_reset
from tests.gateway.agent.scene import HERE, SAY, SECRET, Ticket
from tests.gateway.agent.test_hypercorn import Port, a_port, frame, gone, ready, until
from tests.gateway.sockets import a_frame

BREACHES = [
    (a_frame(b"\xff\xfe"), 1007),
    (a_frame(b"\xc3", first=0) + a_frame(b"x", opcode=0), 1007),
    (b"\x81\x02hi", 1002),  # No mask.
    (a_frame(b"hi", first=0xC0), 1002),  # A reserved bit.
    (a_frame(b"hi", opcode=3), 1002),
    (a_frame(b"hi", opcode=0), 1002),  # Goes on with what never began.
    (a_frame(b"x" * 126, opcode=9), 1002),
    (a_frame(b"\x03", opcode=8), 1002),
    (b"\x81\xfe\x00\x05" + bytes(4) + b"short", 1002),  # A length that needs no two bytes.
]


async def rest_of(stream: trio.SocketStream) -> bytes:
    return b"".join([data async for data in stream])


def a_command(ticket: Ticket, id: str, offered: dict[str, str], **command: Any) -> bytes:
    claim = Claim(
        ticket.agent,
        ticket.session,
        CommandId(id),
        command,
        offered["nonce"],
        offered["expires_at"],
    )
    proof = {"nonce": offered["nonce"], "signature": sign(SECRET, claim)}
    said = {"type": "command_req", "id": id, "command": command, "answer": proof}
    return json.dumps(said).encode()


def is_taken(port: Port) -> bool:
    """Whether every conversation has left Hypercorn."""
    desk = port.scene.agents._desk
    return desk is not None and len(desk.lookout._calls) == port.scene.agents.count


async def test_a_plain_websocket_leaves_hypercorn() -> None:
    async with a_port() as port:
        async with port.connect(await port.scene.ticket()) as socket:
            await frame(socket, "session_ready")
            assert port.scene.agents.count == 1
            assert is_taken(port)


@pytest.mark.parametrize(("data", "code"), BREACHES)
async def test_who_breaks_the_rules_of_frames_is_told_so_and_nobody_else_notices(
    data: bytes, code: int
) -> None:
    async with a_port() as port:
        async with port.connect(await port.scene.ticket("bob")) as other:
            await frame(other, "session_ready")
            stream = await port.raw(await port.scene.ticket())
            await ready(stream)
            await stream.send_all(data + a_frame(b"more"))
            got = await rest_of(stream)
            closing = got.rfind(b"\x88")
            assert got[closing + 2 : closing + 4] == code.to_bytes(2, "big")
            assert got[closing + 1] == len(got) - closing - 2, "nothing follows the close frame"
            await stream.aclose()
            await gone(port, left=1)
            await other.send_message("{}")
            assert (await frame(other, "error"))["code"] == "malformed"


async def test_a_close_is_answered_with_its_code_and_the_connection_ends() -> None:
    async with a_port() as port:
        stream = await port.raw(await port.scene.ticket())
        await ready(stream)
        await stream.send_all(a_frame((1000).to_bytes(2, "big") + b"done", opcode=8))
        assert (await rest_of(stream)).endswith(b"\x88\x06\x03\xe8done")
        await gone(port)


async def test_a_ping_is_answered_also_between_fragments() -> None:
    async with a_port() as port:
        ticket = await port.scene.ticket()
        stream = await port.raw(ticket)
        offered = (await ready(stream))["challenge"]
        said = a_command(ticket, "c-1", offered, **SAY)
        await stream.send_all(a_frame(said[:20], first=0) + a_frame(b"still there?", opcode=9))
        await until(stream, b"\x8a\x0cstill there?")
        await stream.send_all(a_frame(said[20:], opcode=0))
        await until(stream, '"id":"c-1","status":"accepted"')


async def test_a_command_that_comes_byte_by_byte_is_heard() -> None:
    async with a_port() as port:
        ticket = await port.scene.ticket()
        stream = await port.raw(ticket)
        offered = (await ready(stream))["challenge"]
        for byte in a_frame(a_command(ticket, "c-1", offered, **SAY)):
            await stream.send_all(bytes([byte]))
        await until(stream, '"id":"c-1","status":"accepted"')


async def test_a_hundred_frames_in_one_packet_are_answered_in_order() -> None:
    async with a_port() as port:
        stream = await port.raw(await port.scene.ticket())
        await ready(stream)
        ids = [f"c-{n}" for n in range(100)]
        frames = [a_frame(json.dumps({"type": "cancel", "id": id}).encode()) for id in ids]
        await stream.send_all(b"".join(frames))
        got = await until(stream, '"id":"c-99"')
        places = [got.index(f'"id":"{id}"'.encode()) for id in ids]
        assert places == sorted(places)


async def test_a_client_that_says_more_than_can_be_dealt_with_has_to_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered = trio.Event()

    async def offer(offers: list[Offer]) -> list[Verdict]:
        await answered.wait()
        return [Verdict(retry_after_ms=1) for _ in offers]

    async with a_port() as port:
        stream = await port.raw(await port.scene.ticket())
        await ready(stream)
        monkeypatch.setattr(port.scene.outside.bus, "offer", offer)
        asking = {"type": "command_req", "id": "c-1", "command": dict(SAY)}
        frames = a_frame(json.dumps(asking).encode()) * 100_000
        with trio.move_on_after(0.5) as sending:
            await stream.send_all(frames)
        assert sending.cancelled_caught, "somebody keeps all of it"
        (conversation,) = port.scene.agents._conversations
        assert 0 < conversation._frames.waiting <= FRAMES_WAITING_MAX
        answered.set()
        await until(stream, '"code":"rate_limited"')
        await stream.aclose()
        await gone(port)


async def test_a_client_that_has_to_wait_and_breaks_off_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def never(_offers: object) -> None:
        await trio.sleep_forever()

    async with a_port() as port:
        stream = await port.raw(await port.scene.ticket())
        await ready(stream)
        monkeypatch.setattr(port.scene.outside.bus, "offer", never)
        asking = {"type": "command_req", "id": "c-1", "command": dict(SAY)}
        await stream.send_all(a_frame(json.dumps(asking).encode()) * (FRAMES_WAITING_MAX + 2))
        await trio.sleep(0.1)
        close_by_reset(stream.socket)
        began = trio.current_time()
        await gone(port)
        assert trio.current_time() - began < 1, "only when Redis was given up"


async def test_who_takes_nothing_for_long_is_reset_though_told_goodbye(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gateway.agent.direct, "SEND_SECONDS_MAX", 0.3)
    async with a_port() as port:
        ticket = await port.scene.ticket()
        stream = await port.raw(ticket)
        await ready(stream)
        while port.scene.agents.count:
            for _ in range(AGENT_QUEUE_MAX // 4):
                await port.scene.shard.say(Said(ticket.agent, "x" * 4000), chunk=HERE)
            await trio.sleep(0.05)
        with pytest.raises(trio.BrokenResourceError):
            await rest_of(stream)


async def test_a_slow_client_that_reads_on_gets_its_goodbye_whole() -> None:
    async with a_port() as port:
        ticket = await port.scene.ticket()
        stream = await port.raw(ticket)
        await ready(stream)
        (conversation,) = port.scene.agents._conversations
        while conversation.outbox.ending is None:
            for _ in range(AGENT_QUEUE_MAX // 4):
                await port.scene.shard.say(Said(ticket.agent, "x" * 4000), chunk=HERE)
            await trio.sleep(0.01)
        got = await rest_of(stream)
        closing = got.rfind(b"\x88")
        assert got[closing + 2 : closing + 4] == (4008).to_bytes(2, "big")
        assert b'"code":4008' in got[closing - 150 : closing]


async def test_a_bug_that_one_conversation_hits_ends_that_one_with_1011(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with a_port() as port:
        async with port.connect(await port.scene.ticket("bob")) as other:
            await frame(other, "session_ready")
            stream = await port.raw(await port.scene.ticket())
            await ready(stream)
            hear = Exchange.hear

            def fail_ada(exchange: Exchange, text: str | None, now_ms: int) -> list[Action]:
                assert exchange.sitting.agent != "agt_ada", "a bug"
                return hear(exchange, text, now_ms)

            monkeypatch.setattr(Exchange, "hear", fail_ada)
            await stream.send_all(a_frame(b"{}"))
            got = await rest_of(stream)
            assert got.endswith(b"\x88\x02" + (1011).to_bytes(2, "big"))
            await stream.aclose()
            await gone(port, left=1)
            await other.send_message("{}")
            assert (await frame(other, "error"))["code"] == "malformed"


async def test_a_client_that_hangs_up_in_the_middle_of_a_frame_is_noticed() -> None:
    async with a_port() as port:
        stream = await port.raw(await port.scene.ticket())
        await ready(stream)
        await stream.send_all(a_frame(b"x" * 100)[:50])
        await stream.aclose()
        await gone(port)
