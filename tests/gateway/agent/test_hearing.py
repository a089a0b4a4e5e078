"""Frames with strings that are no text: JSON, but nothing that could ever be meant."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.frames import CommandRequest, Error, Proof
from common.grid import CommandId
from common.limits import BAD_FRAMES_MAX
from gateway.agent import hearing
from tests.gateway.agent.builders import NOW_MS, Client, code, the

_COMMAND = '{"type":"command_req","id":"s1","command":%s}'


@pytest.mark.parametrize(
    "frame",
    [
        _COMMAND % r'{"name":"say","text":"\ud800"}',
        _COMMAND % r'{"name":"say","text":"a\udc00b"}',
        _COMMAND % r'{"name":"\udfff"}',
        _COMMAND % r'{"name":"say","text":"hello","\ud800":1}',
        r'{"type":"answer","id":"s1","nonce":"\ud800","signature":"x"}',
        r'{"type":"answer","id":"s1","nonce":"x","signature":"\ud800"}',
        r'{"type":"command_req","id":"s1","command":{},"\ud800":1}',
    ],
)
def test_half_a_character_is_a_fault_of_the_frame_and_does_not_count(frame: str) -> None:
    client = Client()
    for _ in range(BAD_FRAMES_MAX + 1):
        assert code(client.say(frame)) == "validation_failed"


def test_half_a_character_beside_a_cancellation_is_told_under_its_id() -> None:
    error = the(Error, Client().say(r'{"type":"cancel","id":"s1","more":"\ud800"}'))
    assert (error.code, error.id) == ("validation_failed", "s1")


def test_an_id_that_is_no_text_is_not_sent_back() -> None:
    error = the(Error, Client().say(r'{"type":"command_req","id":"\ud800","command":{}}'))
    assert (error.code, error.id) == ("validation_failed", None)


@pytest.mark.parametrize(
    "text", [r'{"type":"\ud800"}', r'"\ud800"', r'{"id":"s1","\ud800":1}', r'{"type":"\ud800"']
)
def test_what_makes_no_sense_otherwise_counts_as_ever(text: str) -> None:
    client = Client()
    for _ in range(BAD_FRAMES_MAX - 1):
        assert the(Error, client.exchange.hear(text, NOW_MS)).code == "malformed"
    assert len(client.exchange.hear(text, NOW_MS)) == 2


_words = st.one_of(
    st.text(max_size=8), st.none(), st.integers(), st.dictionaries(st.text(), st.none())
)
_proofs = st.one_of(
    _words,
    st.fixed_dictionaries(
        {"nonce": _words, "signature": _words}, optional={"more": st.none(), "type": st.none()}
    ),
)
_frames = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["command_req", "answer", "cancel", "other"]),
        "id": st.one_of(st.sampled_from(["c-1", "c 1", "c-1\n", "x" * 64, "x" * 65]), _words),
        "command": st.one_of(st.just({"name": "wait", "ticks": 1}), _words),
    },
    optional={"answer": _proofs, "more": st.none()},
)


@given(_frames)
def test_the_short_way_hears_what_the_long_one_hears(plain: dict[str, Any]) -> None:
    shortly = hearing._usual(plain)
    text = json.dumps(plain)
    if shortly is not None:
        assert hearing._structure(plain) == shortly == hearing.read(text)
    elif {*plain} == {"type", "id", "command", "answer"}:
        assert not isinstance(hearing.read(text), CommandRequest)


def test_a_command_with_its_proof_goes_the_short_way() -> None:
    proof = {"nonce": "n", "signature": "s"}
    plain = {"type": "command_req", "id": "c-1", "command": {"name": "wait"}, "answer": proof}
    assert hearing._usual(plain) == CommandRequest(
        CommandId("c-1"), {"name": "wait"}, Proof("n", "s")
    )
