from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.moderation import banned

WORDS = banned(["ass", "c++", "two words", "\u00e9t\u00e9", "stra\u00dfe", "\u200b", ""])


@pytest.mark.parametrize(
    "text",
    [
        "ass",
        "you ASS!",
        "ass_",
        "(ass)",
        "a\u200bss",  # A space of no width.
        "a\u0301ss",  # An accent.
        "\uff41ss",  # A wide letter.
        "I like C++.",
        "two   Words",
        "two\nwords",
        "\u00c9T\u00c9",
        "ete",
        "STRASSE",
    ],
)
def test_a_banned_word_is_found_however_it_is_written(text: str) -> None:
    assert WORDS.are_in(text)


@pytest.mark.parametrize(
    "text", ["class", "assess", "c", "c+", "two other words", "words two", "", " ", "\u200b", "!?"]
)
def test_a_word_that_only_looks_like_one_is_not(text: str) -> None:
    assert not WORDS.are_in(text)


def test_no_words_ban_nothing() -> None:
    assert not banned([]).are_in("anything")


@given(st.text(max_size=280), st.text(min_size=1, max_size=64))
def test_a_word_with_something_in_it_is_found_between_spaces(text: str, word: str) -> None:
    words = banned([word])
    assert words.are_in(word) is words.are_in(f"{text} {word} {text}") or words.are_in(text)


def test_many_words_take_no_longer_than_few() -> None:
    words = banned(f"word{number}" for number in range(1_000))
    began = time.perf_counter()
    for _ in range(100):
        assert not words.are_in("nothing of this is one of them " * 9)
    assert time.perf_counter() - began < 1.0  # It takes some hundredths of a second.
