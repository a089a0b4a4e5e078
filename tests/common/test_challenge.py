from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.challenge import Claim, decode_base64url, encode_base64url, is_signed, sign
from common.grid import AgentId, CommandId, SessionId

SECRET = bytes(range(32))
CLAIM = Claim(
    AgentId("agt_1"),
    SessionId("ses_1"),
    CommandId("c-1"),
    {"name": "move_to", "x": 3, "y": -4},
    "AAAAAAAAAAAAAAAAAAAAAA",
    "2026-01-01T00:00:02.000Z",
)


def test_the_protocols_test_vector_holds() -> None:
    assert sign(SECRET, CLAIM) == "PvlTrGEmW9W4Ua6FA5uUrEkepyxM0ihsfHZmSz_vkYU"


@pytest.mark.parametrize(
    "change",
    [
        {"agent_id": "agt_2"},
        {"session_id": "ses_2"},
        {"id": "c-2"},
        {"command": {"name": "move_to", "x": 3, "y": 4}},
        {"nonce": "AAAAAAAAAAAAAAAAAAAAAB"},
        {"expires_at": "2026-01-01T00:00:03.000Z"},
    ],
)
def test_a_signature_covers_everything(change: dict[str, Any]) -> None:
    signature = sign(SECRET, CLAIM)
    assert is_signed(SECRET, CLAIM, signature)
    assert not is_signed(SECRET, attrs.evolve(CLAIM, **change), signature)
    assert not is_signed(bytes(32), CLAIM, signature)


@given(st.text(max_size=100))
def test_no_text_but_the_signature_is_right(text: str) -> None:
    assert is_signed(SECRET, CLAIM, text) == (text == sign(SECRET, CLAIM))


@given(st.binary(max_size=64))
def test_base64url_has_no_padding_and_comes_back(data: bytes) -> None:
    text = encode_base64url(data)
    assert "=" not in text
    assert decode_base64url(text) == data


@pytest.mark.parametrize("text", ["a", "a+b/", "äöü", "ab cd"])
def test_what_is_not_base64url_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_base64url(text)
