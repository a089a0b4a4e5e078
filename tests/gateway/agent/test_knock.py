"""What a client brings along: its token, what it wants to resume, what subprotocol it speaks."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.agent.knock import Resume, knock_of


def a_scope(query: bytes = b"", subprotocols: tuple[str, ...] = (), **headers: str) -> Any:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    return {"headers": raw, "subprotocols": list(subprotocols), "query_string": query}


def test_the_token_comes_in_the_header() -> None:
    knock = knock_of(a_scope(authorization="Bearer tss_x"))
    assert (knock.token, knock.subprotocol, knock.resume) == ("tss_x", None, None)


def test_or_among_the_subprotocols_of_which_the_protocol_is_answered() -> None:
    knock = knock_of(a_scope(subprotocols=("tessera.v1", "bearer.tss_x")))
    assert (knock.token, knock.subprotocol) == ("tss_x", "tessera.v1")


def test_the_header_goes_first_and_the_protocol_is_answered_when_offered() -> None:
    scope = a_scope(subprotocols=("bearer.b", "tessera.v1"), authorization="bearer a")
    knock = knock_of(scope)
    assert (knock.token, knock.subprotocol) == ("a", "tessera.v1")


@pytest.mark.parametrize("authorization", ["", "Basic abc", "Bearer", "Bearer ", "\xff\xfe"])
def test_no_token_is_an_empty_one(authorization: str) -> None:
    assert knock_of(a_scope(authorization=authorization)).token == ""


@pytest.mark.parametrize(
    ("query", "resume"),
    [
        (b"", None),
        (b"last_seq=4", None),
        (b"resume=tsr_x&last_seq=4", Resume("tsr_x", 4)),
        (b"resume=tsr_x", Resume("tsr_x", 0)),
        (b"resume=tsr_x&last_seq=", Resume("tsr_x", None)),
        (b"resume=tsr_x&last_seq=-1", Resume("tsr_x", None)),
        (b"resume=tsr_x&last_seq=x", Resume("tsr_x", None)),
        (b"resume=tsr_x&last_seq=1.0", Resume("tsr_x", None)),
        (b"resume=tsr_x&last_seq=" + b"9" * 400, Resume("tsr_x", None)),
        ("resume=tsr_x&last_seq=\u0663".encode(), Resume("tsr_x", None)),
        (b"resume=", Resume("", 0)),
        (b"%ff=%00&resume=%ff", Resume("\ufffd", 0)),
    ],
)
def test_what_is_to_be_resumed_stands_in_the_query(query: bytes, resume: Resume | None) -> None:
    assert knock_of(a_scope(query)).resume == resume


def test_a_knock_keeps_its_tokens_to_itself() -> None:
    knock = knock_of(a_scope(b"resume=tsr_secret", authorization="Bearer tss_secret"))
    assert "secret" not in repr(knock)
