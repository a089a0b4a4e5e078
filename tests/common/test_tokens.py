from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.tokens import HashingKeys, Kind, id_in, is_secret_of, new_token, parse_token


@pytest.mark.parametrize("kind", list(Kind))
def test_a_token_is_read_back_from_its_text(kind: Kind) -> None:
    token = new_token(kind)
    assert token.text.startswith(f"{kind}_{token.id}_")
    assert parse_token(kind, token.text) == token
    assert is_secret_of(token, token.hash)


def test_a_typo_anywhere_is_noticed_without_asking_anybody() -> None:
    text = new_token(Kind.API_KEY).text
    for place in range(len(text)):
        other = "0" if text[place] != "0" else "1"
        assert parse_token(Kind.API_KEY, text[:place] + other + text[place + 1 :]) is None


def test_a_token_of_one_kind_is_none_of_another() -> None:
    assert parse_token(Kind.SESSION, new_token(Kind.API_KEY).text) is None


def test_the_id_in_a_whole_token_is_found_and_nothing_else_is_changed() -> None:
    token = new_token(Kind.OPERATOR)
    assert id_in(Kind.OPERATOR, token.text) == token.id
    for other in (token.id, token.text[:-1], new_token(Kind.API_KEY).text, "", "tso_"):
        assert id_in(Kind.OPERATOR, other) == other


def test_another_tokens_secret_does_not_fit() -> None:
    one, other = new_token(Kind.API_KEY, "0" * 16), new_token(Kind.API_KEY, "0" * 16)
    assert not is_secret_of(one, other.hash)


def test_a_printed_token_keeps_its_secret() -> None:
    token = new_token(Kind.API_KEY)
    assert token.secret not in repr(token)


def test_without_a_hashing_key_a_hash_is_plain() -> None:
    token = new_token(Kind.API_KEY)
    assert HashingKeys().hash(token) == hashlib.sha256(token.secret.encode()).digest()


def test_a_rotated_hashing_key_accepts_the_one_before_and_no_other() -> None:
    token, other = new_token(Kind.OPERATOR), new_token(Kind.OPERATOR)
    first, rotated = HashingKeys(b"first"), HashingKeys(b"second", b"first")
    assert first.fits(token, first.hash(token))
    assert rotated.fits(token, first.hash(token))
    assert not rotated.is_current(token, first.hash(token))
    assert rotated.is_current(token, rotated.hash(token))
    assert not HashingKeys(b"second").fits(token, first.hash(token))
    assert not HashingKeys(b"third", b"second").fits(token, first.hash(token))
    assert not rotated.fits(other, first.hash(token))


def test_what_was_made_without_a_hashing_key_is_good_only_while_that_is_said() -> None:
    token = new_token(Kind.API_KEY)
    assert HashingKeys(b"first", b"").fits(token, HashingKeys().hash(token))
    assert not HashingKeys(b"first").fits(token, HashingKeys().hash(token))


def test_the_same_hashing_key_twice_is_as_good_as_once() -> None:
    token = new_token(Kind.API_KEY)
    once, twice = HashingKeys(b"first"), HashingKeys(b"first", b"first")
    assert twice.hash(token) == once.hash(token)
    for hashed in (once.hash(token), token.hash, HashingKeys(b"second").hash(token)):
        assert twice.fits(token, hashed) == once.fits(token, hashed)
        assert twice.is_current(token, hashed) == once.is_current(token, hashed)


def test_a_printed_hashing_key_stays_secret() -> None:
    assert "hunter2" not in repr(HashingKeys(b"hunter2", b"hunter2"))


@given(st.text())
def test_any_text_is_a_token_or_none(text: str) -> None:
    assert parse_token(Kind.API_KEY, text) is None
