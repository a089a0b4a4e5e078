"""Frames with strings that are no text: JSON, but nothing that could ever be meant."""

from __future__ import annotations

import pytest

from common.frames import Error
from common.limits import BAD_FRAMES_MAX
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
