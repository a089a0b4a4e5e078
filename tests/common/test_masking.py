from __future__ import annotations

import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from common.challenge import encode_base64url
from common.masking import HIDDEN, mask
from common.tokens import Kind, new_token


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("to postgresql://me:sword@db/x now", f"to postgresql://me:{HIDDEN}@db/x now"),
        ("redis://:fish@r:1/0", f"redis://:{HIDDEN}@r:1/0"),
        ("redis://:s/w@rd@r:1/0", f"redis://:{HIDDEN}@r:1/0"),
        ("postgresql://db/x?password=fish&a=b", f"postgresql://db/x?password={HIDDEN}&a=b"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/"),
    ],
)
def test_a_password_in_a_url_is_hidden(text: str, shown: str) -> None:
    assert mask(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("from 203.0.113.9:4711", f"from {HIDDEN}:4711"),
        ("('203.0.113.9', 5432)", f"('{HIDDEN}', 5432)"),
        ("from [2001:db8::7]:80 to ::ffff:198.51.100.1", f"from [{HIDDEN}]:80 to {HIDDEN}"),
        ("on 127.0.0.1, ::1 and 0.0.0.0", "on 127.0.0.1, ::1 and 0.0.0.0"),
        ("chunk 1:-2 at 23:59:59, Python 3.11.2", "chunk 1:-2 at 23:59:59, Python 3.11.2"),
        ("ada.lovelace+x@mail.example.org wrote", f"{HIDDEN} wrote"),
        ("to=ada%40example.org", f"to={HIDDEN}"),
        ("TSK_ABCDEFGH12345678", f"TSK_{HIDDEN}"),
    ],
)
def test_addresses_and_email_are_hidden(text: str, shown: str) -> None:
    assert mask(text) == shown


@given(st.binary(min_size=32, max_size=32))
def test_keys_and_signatures_are_hidden(secret: bytes) -> None:
    text = encode_base64url(secret)
    assume(any(map(str.isdigit, text)) and text.upper() != text != text.lower())
    assert text not in mask(f"signature={text}, and so on")
    assert mask(text) == HIDDEN


@pytest.mark.parametrize("kind", list(Kind))
def test_a_token_is_hidden_also_without_its_beginning_or_its_end(kind: Kind) -> None:
    token = new_token(kind)
    for text in (token.text, token.text[1:], token.text[4:], token.text[21:], token.text[:-9]):
        assert token.secret[:20] not in mask(f"/ops/{text}/kick"), text
        assert mask(text).endswith(HIDDEN)


@pytest.mark.parametrize("piece", ["a", "-", "1.", "://:", "://a:b", "::a", "tso_", "password="])
@pytest.mark.parametrize("end", ["", "!"])
def test_masking_takes_no_longer_for_what_nearly_looks_like_a_secret(piece: str, end: str) -> None:
    """32 KB take some hundredths of a second; by the square of the length it would be many."""
    text = piece * (32 * 1024 // len(piece)) + end
    began = time.perf_counter()
    mask(text)
    assert time.perf_counter() - began < 2.0


def test_what_is_no_secret_is_shown() -> None:
    for text in (
        "ses_0123456789abcdefghijABCDEF",
        "gateway-0f3e5c2a9b1d-4f6a7b8c",
        "0af7651916cd43dd8448eb211c80319c",
        "common/adapters/postgres_journal.py:123",
        "10:-4",
    ):
        assert mask(text) == text
