from __future__ import annotations

import json
from typing import Any, cast

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from common import wire
from common.commands import Command, MoveTo, Say, Wait
from common.events import Entered, Moved
from common.frames import Cancel, ChunkDelta, ClientFrame, CommandRequest, Proof
from common.grid import AgentId, ChunkId, CommandId, Tick


def test_what_is_none_is_left_out_and_from_is_a_word_on_the_wire() -> None:
    delta = ChunkDelta(
        ChunkId("0:0"),
        Tick(2),
        Tick(1),
        [Moved(AgentId("a"), 1, 2), Entered(AgentId("b"), "agent", 3, 4, from_=ChunkId("1:0"))],
    )
    text = wire.encode(delta)
    assert b'"from":"1:0"' in text
    assert b"null" not in text
    assert b"name" not in text
    assert wire.decode(text, ChunkDelta) == delta


def test_a_command_request_keeps_the_command_as_it_was_sent() -> None:
    frame = wire.decode(
        '{"type":"command_req","id":"c","command":{"name":"fly","to":[1]},'
        '"answer":{"nonce":"n","signature":"s"}}',
        ClientFrame,
    )
    assert frame == CommandRequest(CommandId("c"), {"name": "fly", "to": [1]}, Proof("n", "s"))


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"type":"cancel","id":"a","more":1}', "$.more"),
        ('{"type":"cancel"}', "$.id"),
        ('{"type":"cancel","id":7}', "$.id"),
        ('{"type":"cancel","id":"a b"}', "$.id"),
        ('{"type":"cancel","id":"a\\n"}', "$.id"),
        ('{"type":"command_req","id":"a","command":[]}', "$.command"),
        ('{"type":"command_req","id":"a","command":{},"answer":{"nonce":"","signature":"s"}}',
         "$.answer.nonce"),
        ('{"type":"dance"}', "$"),
        ('{"type":["cancel"],"id":"a"}', "$"),
        ("[]", "$"),
        ("null", "$"),
        ("{", "$"),
        ("", "$"),
        ("[" * 10_000, "$"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(text: str, path: str) -> None:
    with pytest.raises(wire.Malformed) as malformed:
        wire.decode(text, ClientFrame)
    assert path in [fault.path for fault in malformed.value.faults]


@pytest.mark.parametrize(
    "plain",
    [
        {"name": "move_to", "x": 1.0, "y": 0},
        {"name": "move_to", "x": True, "y": 0},
        {"name": "move_to", "x": "1", "y": 0},
        {"name": "move_to", "x": 2**31 + 1, "y": 0},
        {"name": "wait", "ticks": 51},
        {"name": "say", "text": "x" * 281},
    ],
)
def test_nothing_is_coerced_and_bounds_hold(plain: dict[str, object]) -> None:
    with pytest.raises(wire.Malformed):
        wire.structure(plain, Command)


def test_a_client_passes_over_fields_that_it_does_not_know() -> None:
    plain = {"type": "cancel", "id": "a", "since": "a newer server"}
    assert wire.structure_leniently(plain, Cancel) == Cancel(CommandId("a"))
    with pytest.raises(wire.Malformed):
        wire.structure(plain, Cancel)


commands = st.one_of(
    st.builds(MoveTo, st.integers(-(2**31), 2**31), st.integers(-(2**31), 2**31)),
    st.builds(Say, st.text(st.characters(codec="utf-8"), min_size=1, max_size=280)),
    st.builds(Wait, st.integers(1, 50)),
)


@given(commands)
def test_a_command_survives_the_wire(command: Command) -> None:
    assert wire.decode(wire.encode(command), type(command)) == command


@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_malformed(data: bytes) -> None:
    try:
        wire.decode(data, ClientFrame)
    except wire.Malformed as malformed:
        assert malformed.faults


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(["type", "id", "command", "answer", "nonce", "signature", "x"]),
        json_values | st.sampled_from(["command_req", "answer", "cancel", "c-1"]),
    )
)
def test_any_json_object_is_a_frame_or_malformed(plain: dict[str, object]) -> None:
    try:
        wire.structure(plain, ClientFrame)
    except wire.Malformed as malformed:
        assert malformed.faults


_SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53)
_ANY_TEXT = st.text(st.characters() | st.sampled_from("\\ud83d\ud800\udc00\udfff"))


@given(
    st.recursive(
        _SCALARS | _ANY_TEXT,
        lambda inner: st.lists(inner) | st.dictionaries(_ANY_TEXT, inner),
    )
)
def test_all_json_is_read_and_what_is_no_text_never_comes_out_as_text(plain: object) -> None:
    text = json.dumps(plain)
    try:
        assert wire.parse(text) == json.loads(text)
    except wire.NotText as not_text:
        json.dumps(not_text.value, ensure_ascii=False).encode()
        with pytest.raises(UnicodeEncodeError):
            json.dumps(json.loads(text), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "text",
    [
        '"\\ud800', '\\ud800', '{"a":"\\ud800",}', '["\\ud800" NaN]', '"\\ud800\\x"',
        '["\\ud800", 01]', '"\\ud8"', '"\\ud800" 1',
    ],
)  # fmt: skip
def test_what_is_no_json_anyhow_is_not_forgiven_for_a_lone_surrogate(text: str) -> None:
    with pytest.raises(wire.Malformed) as malformed:
        wire.parse(text)
    assert not isinstance(malformed.value, wire.NotText)


def test_an_escaped_backslash_before_a_u_is_no_escape_of_a_character() -> None:
    assert wire.parse(r'"\\ud800 \ud83d\ude00"') == "\\ud800 \U0001f600"


_scalars = st.one_of(
    st.text(), st.integers(-(2**60), 2**60), st.booleans(), st.none(), st.floats(-1e30, 1e30)
)
_trees = st.recursive(
    _scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner)),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), _trees))
def test_the_canonical_form_is_that_of_rfc_8785(value: dict[str, Any]) -> None:
    try:
        expected = rfc8785.dumps(value)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            wire.canonical(value)
    else:
        assert wire.canonical(value) == expected


@given(st.dictionaries(st.text(alphabet=st.characters(max_codepoint=127)), st.text()))
def test_the_canonical_form_of_what_is_simple_is_too(value: dict[str, Any]) -> None:
    assert wire._is_simple(value)
    assert wire.canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize("value", [{"x": 2**53 - 1}, {"x": -(2**53) + 1}, {"b": 1, "a": {"d": 0}}])
def test_integers_up_to_javascripts_bound_are_canonical(value: dict[str, Any]) -> None:
    assert wire.canonical(value) == rfc8785.dumps(value)


_read_command = wire.structurer(cast("type[Command]", Command))


@given(st.one_of(commands.map(wire.unstructure), _trees))
def test_a_structurer_does_what_structure_does(plain: object) -> None:
    try:
        expected = wire.structure(plain, cast("type[Command]", Command))
    except wire.Malformed as malformed:
        with pytest.raises(wire.Malformed) as raised:
            _read_command(plain)
        assert raised.value.faults == malformed.faults
    else:
        assert _read_command(plain) == expected
