"""The document of the streams is valid, and says of each frame exactly what it is."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from common import events, frames, wire
from common.commands import MoveTo, Say, Wait
from common.grid import AgentId, ChunkId, CommandId, SessionId, Tick
from gateway.http.asyncapi import describe_streams

# From @asyncapi/specs 6.11.1 (Apache-2.0), schemas/3.0.0-without-$id.json, as it is but packed.
META = Path(__file__).with_name("asyncapi-3.0.0.schema.json.gz")

AGENT, CHUNK, ID, TICK = AgentId("agt_1"), ChunkId("0:0"), CommandId("c-1"), Tick(7)
OFFERED = frames.OfferedChallenge("AAAAAAAAAAAAAAAAAAAAAA", "2026-01-01T00:00:02.000Z")
PROOF = frames.Proof("AAAAAAAAAAAAAAAAAAAAAA", "PvlTrGEmW9W4Ua6FA5uUrEkepyxM0ihsfHZmSz_vkYU")
HERE = frames.Position(3, -4)

EVENTS: list[events.Event] = [
    events.Entered(AGENT, "agent", 1, 2, "Ada", ChunkId("-1:0")),
    events.Entered(AGENT, "agent", 1, 2),
    events.Moved(AGENT, 1, 2),
    events.Left(AGENT, "moved", ChunkId("1:0")),
    events.Left(AGENT, "session_ended"),
    events.Said(AGENT, "hello"),
    events.Failed(AGENT, "blocked"),
]
STATIC = frames.ChunkStatic(
    CHUNK, 1, TICK, 2, ["..", "#~"], [frames.Entity(AGENT, "agent", 1, 2, "Ada")]
)
DELTA = frames.ChunkDelta(CHUNK, TICK, Tick(6), EVENTS)
LIMITS = frames.SessionLimits(10, 20, 2_000)
SERVER: list[object] = [
    frames.SessionReady(
        1, SessionId("ses_1"), AGENT, "tsr_1", False, 5, CHUNK, HERE, LIMITS, OFFERED
    ),
    STATIC,
    DELTA,
    frames.Challenge(ID, OFFERED.nonce, OFFERED.expires_at),
    frames.Ack(ID, "accepted", tick=TICK, seq=1, challenge=OFFERED),
    frames.Ack(ID, "rejected", code="cooldown", retry_after_ms=30_000),
    frames.Result(ID, 2, "completed", TICK, CHUNK, HERE),
    frames.Result(ID, 2, "failed", TICK, CHUNK, HERE, "blocked"),
    frames.Error("bad_json", "no"),
    frames.Error("validation_failed", "no", ID),
    frames.Goodbye(1012, "restarting", True),
]
CLIENT: list[object] = [
    frames.CommandRequest(ID, wire.unstructure(MoveTo(3, -4))),
    frames.CommandRequest(ID, wire.unstructure(Say("hello")), PROOF),
    frames.CommandRequest(ID, wire.unstructure(Wait(5))),
    frames.Answer(ID, PROOF.nonce, PROOF.signature),
    frames.Cancel(ID),
]
SPECTATOR: list[object] = [
    frames.SpectatorReady(1, [CHUNK], 5),
    STATIC,
    DELTA,
    frames.Resync("slow"),
    frames.Resync("out_of_range", CHUNK),
]


def kind_of(frame: object) -> str:
    return str(wire.unstructure(frame)["type"])


def validator(message: str, *, sealed: bool) -> Draft202012Validator:
    document = describe_streams(sealed=sealed)
    return Draft202012Validator(
        {**document, **document["components"]["messages"][message]["payload"]}
    )


def cases() -> list[Any]:
    named = [
        *((kind_of(frame), frame) for frame in (*SERVER, *CLIENT)),
        *((f"watch_{kind_of(frame)}", frame) for frame in SPECTATOR),
    ]
    return [
        pytest.param(name, frame, id=f"{name}-{number}")
        for number, (name, frame) in enumerate(named)
    ]


def test_it_is_valid_asyncapi() -> None:
    meta = json.loads(gzip.decompress(META.read_bytes()))
    Draft7Validator(meta).validate(json.loads(json.dumps(describe_streams())))


def test_every_reference_leads_somewhere() -> None:
    document = describe_streams()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if "$ref" in value:
                target: Any = document
                for step in value["$ref"].removeprefix("#/").split("/"):
                    target = target[step]
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(document)


def test_every_frame_has_an_example_here() -> None:
    for union, examples in (
        (frames.ServerFrame, SERVER),
        (frames.ClientFrame, CLIENT),
        (frames.SpectatorFrame, SPECTATOR),
        (events.Event, EVENTS),
    ):
        assert {type(example) for example in examples} == set(get_args(union))


@pytest.mark.parametrize(("message", "frame"), cases())
def test_a_frame_follows_its_schema(message: str, frame: object) -> None:
    validator(message, sealed=True).validate(json.loads(wire.encode(frame)))


@pytest.mark.parametrize(("message", "frame"), cases())
def test_a_frame_with_one_field_more_does_not(message: str, frame: object) -> None:
    more = {**json.loads(wire.encode(frame)), "colour": "red"}
    assert not validator(message, sealed=True).is_valid(more)
    # Published, only what clients send is sealed: they must ignore what a newer server adds.
    assert validator(message, sealed=False).is_valid(more) is (frame not in CLIENT)


@pytest.mark.parametrize(("message", "frame"), cases())
def test_a_frame_with_one_field_less_does_not(message: str, frame: object) -> None:
    whole = json.loads(wire.encode(frame))
    optional = {
        "name",
        "from",
        "to",
        "code",
        "retry_after_ms",
        "tick",
        "seq",
        "challenge",
        "answer",
    }
    optional |= {"reason", "chunk", "id"}
    check = validator(message, sealed=True)
    needed = set(whole) if message == "session_ready" else set(whole) - optional
    assert "type" in needed
    for field in needed:
        less = {name: value for name, value in whole.items() if name != field}
        assert not check.is_valid(less), field


@pytest.mark.parametrize(
    "command",
    [
        {"name": "move_to", "x": 2**31 + 1, "y": 0},
        {"name": "move_to", "x": 1},
        {"name": "say", "text": ""},
        {"name": "say", "text": "x" * 281},
        {"name": "wait", "ticks": 51},
        {"name": "fly"},
        {"x": 1, "y": 2},
        {"name": "wait", "ticks": 5, "x": 1},
    ],
)
def test_a_command_out_of_bounds_does_not(command: object) -> None:
    request = {"type": "command_req", "id": "c-1", "command": command}
    assert not validator("command_req", sealed=False).is_valid(request)


def test_the_websocket_of_spectators_wraps_the_same_frames() -> None:
    check = validator("ws_chunk_delta", sealed=True)
    frame = {"event": "chunk_delta", "id": "x", "data": wire.unstructure(DELTA)}
    check.validate(frame)
    assert not check.is_valid({**frame, "event": "chunk_static"})
    assert not check.is_valid({"event": "chunk_delta"})


async def test_it_is_served(house: Any, autojump_clock: Any) -> None:
    response = await house.call("GET", "/asyncapi.json")
    assert response.content_type == "application/json"
    assert json.loads(await response.get_data()) == json.loads(json.dumps(describe_streams()))
