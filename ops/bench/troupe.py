"""The processes of agents under measure: the players, and what they are told and tell."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio

from ops.bench.crowds import Server
from ops.bench.players import Cast, Part, Report, Scene


@attrs.frozen
class Troupe:
    _process: subprocess.Popen[str]
    count: int

    async def play(self, scene: Scene) -> Report:
        return Report(**json.loads(await self._ask(attrs.asdict(scene))))

    async def _ask(self, said: object) -> str:
        return await trio.to_thread.run_sync(_ask, self._process, json.dumps(said))


@asynccontextmanager
async def a_troupe(
    server: Server, parts: list[Part], *, rival: bool = False
) -> AsyncIterator[Troupe]:
    """All have connected when the block begins; they go at its end."""
    argv = [sys.executable, "-P", "-m", "ops.bench.players", str(server.port)]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True) as process:  # noqa: S603, ASYNC220 - our words.
        try:
            troupe = Troupe(process, len(parts))
            said = await troupe._ask(attrs.asdict(Cast(server.path, parts, rival)))
            assert json.loads(said)["open"] == len(parts), said
            yield troupe
        finally:
            process.kill()


def _ask(process: subprocess.Popen[str], line: str) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    assert answer, "the players have fallen"
    return answer
