"""What skill.md says is true: its size, its example, its codes and its numbers."""

from __future__ import annotations

import json
import re
import typing
from importlib.resources import files
from typing import Any

import pytest

from common import refusals
from common.challenge import Claim, sign
from common.settings import Settings

SKILL = (files("gateway.http") / "skill.md").read_text()


def test_it_can_be_read_in_one_go() -> None:
    assert len(SKILL) < 12_000


def example() -> dict[str, Any]:
    (code,) = re.findall(r"```python\n(.*?)```", SKILL, re.DOTALL)
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, "skill.md", "exec"), names)  # noqa: S102 - our own page.
    return names


CLAIM = {
    "agent_id": "agt_1",
    "command": {"name": "move_to", "x": 3, "y": -4},
    "expires_at": "2026-01-01T00:00:02.000Z",
    "id": "c-1",
    "nonce": "AAAAAAAAAAAAAAAAAAAAAA",
    "session_id": "ses_1",
    "v": 1,
}


def test_its_example_signs_as_the_protocol_says() -> None:
    secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    assert secret in SKILL
    signature = example()["sign"](secret, CLAIM)
    assert signature == "PvlTrGEmW9W4Ua6FA5uUrEkepyxM0ihsfHZmSz_vkYU"
    assert signature in SKILL


@pytest.mark.parametrize("text", ["hello", "héllo wörld", 'a"\\/b', "\t\r\n\b\f\x00\x1f\x7f", "🜁"])
def test_its_example_signs_any_text_as_we_do(text: str) -> None:
    command = {"name": "say", "text": text}
    values: Any = {**CLAIM, "command": command}
    del values["v"]
    secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    ours = sign(bytes(range(32)), Claim(**values))
    assert example()["sign"](secret, {**CLAIM, "command": command}) == ours


class ScriptedSocket:
    """The server's half of one command, as the protocol has it."""

    def __init__(self, frames: list[dict[str, Any]]) -> None:
        self.frames = frames
        self.sent: list[dict[str, Any]] = []

    def send(self, text: str) -> None:
        self.sent.append(json.loads(text))

    def recv(self) -> str:
        return json.dumps(self.frames.pop(0))


def test_its_example_carries_a_command_through() -> None:
    challenge = {"type": "challenge", **{k: CLAIM[k] for k in ("id", "nonce", "expires_at")}}
    result = {"type": "result", "id": "c-1", "status": "completed"}
    socket = ScriptedSocket(
        [
            {"type": "chunk_delta", "events": []},
            challenge,
            {"type": "ack", "id": "c-1", "status": "accepted"},
            result,
        ]
    )
    session = {
        "session_id": "ses_1",
        "challenge_secret": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    }
    answer = example()["perform"](socket, "agt_1", session, "c-1", CLAIM["command"])
    assert answer == result
    assert socket.sent == [
        {"type": "command_req", "id": "c-1", "command": CLAIM["command"]},
        {
            "type": "answer",
            "id": "c-1",
            "nonce": CLAIM["nonce"],
            "signature": "PvlTrGEmW9W4Ua6FA5uUrEkepyxM0ihsfHZmSz_vkYU",
        },
    ]


def test_it_names_every_code_that_an_agent_meets() -> None:
    for code in (*typing.get_args(refusals.AckCode), *typing.get_args(refusals.FailReason)):
        assert f"`{code}`" in SKILL, code
    for close in ("1008", "1009", "1012", "1013", "4001", "4003", "4008"):
        assert close in SKILL


def test_its_limits_are_the_defaults() -> None:
    settings = Settings()
    assert f"{settings.commands_per_s} commands a second" in SKILL
    assert f"{settings.chat_per_min} `say` a minute" in SKILL
    assert f"{settings.sessions_per_min} sessions a minute" in SKILL
    assert f"{settings.signups_per_min} sign-ups a minute" in SKILL
