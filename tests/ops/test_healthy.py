from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import trio
from prometheus_client import CollectorRegistry

import ops.healthy
from common.adapters.private_port import serve_private
from ops.healthy import what_is_wrong


async def said_by(missing: Mapping[str, str], path: str) -> str:
    """What is wrong with a process that misses ``missing``."""

    async def ready() -> Mapping[str, str]:
        return missing

    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        port: int = await nursery.start(
            partial(serve_private, 0, ready, CollectorRegistry(), stop=stop)
        )
        said = await trio.to_thread.run_sync(what_is_wrong, path, port)
        stop.set()
    return said


async def test_nothing_is_wrong_with_a_process_that_is_ready() -> None:
    assert await said_by({}, "/healthz") == ""
    assert await said_by({}, "/readyz") == ""


async def test_one_that_misses_something_lives_and_is_not_ready() -> None:
    assert await said_by({"redis": "unreachable"}, "/healthz") == ""
    said = await said_by({"redis": "unreachable"}, "/readyz")
    assert said.startswith("/readyz: 503 ")
    assert "unreachable" in said


def test_nobody_there_is_one_line_and_exit_code_1() -> None:
    """In a container it is port 9100; here it is one where nobody is."""
    script = Path(ops.healthy.__file__).read_text().replace("PORT = 9100", "PORT = 1")
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, "/readyz"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stdout == "/readyz: ConnectionRefusedError [Errno 111] Connection refused\n"
    assert ended.stderr == ""
