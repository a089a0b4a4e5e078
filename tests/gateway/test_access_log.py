from __future__ import annotations

from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from gateway import access_log
from gateway.asgi import Gateway
from tests.gateway.agent.scene import a_scene


@pytest.mark.parametrize("method", ["tsk_0123456789", "TSK_0123456789", "BREW", ""])
async def test_a_method_that_nobody_knows_is_not_written(method: str) -> None:
    with capture_logs() as lines:
        access_log.note(method, "none", status=405, began=0.0, trace_id="a" * 32)
    (line,) = lines
    assert line["method"] == "other"
    assert set(line) == {"event", "log_level", "method", "route", "status", "seconds", "trace_id"}


async def test_a_websocket_that_goes_before_its_answer_has_a_trace_too(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        ticket = await scene.ticket()

        async def nothing(*_: Any) -> None:
            raise AssertionError("only agents come here")

        gateway = Gateway(nothing, scene.agents, nothing, nothing, nothing)
        send, receive = trio.open_memory_channel[Any](2)
        send.send_nowait({"type": "websocket.connect"})
        send.send_nowait({"type": "websocket.disconnect", "code": 1006})
        scope: Any = {
            "type": "websocket",
            "path": "/v1/agent",
            "query_string": b"",
            "headers": [
                (b"authorization", f"Bearer {ticket.token}".encode()),
                (b"traceparent", f"00-{'a' * 32}-{'b' * 16}-01".encode()),
            ],
            "subprotocols": [],
            "state": {},
        }
        with capture_logs() as lines:
            await gateway(scope, receive.receive, nothing)
        (line,) = [line for line in lines if line["event"] == "request"]
        assert (line["status"], line["trace_id"]) == (None, "a" * 32)
