"""The list of banned words: a ``say`` with one of them is rejected ``moderated``.

What counts as being in a text, ``common.moderation`` says. The list is replaced as a whole.
"""

from __future__ import annotations

from typing import Annotated

import attrs
from msgspec import Meta

from common.limits import WORD_CHARACTERS_MAX, WORDS_MAX
from common.operators import OperatorToken
from gateway.http.route import Ask, Route
from gateway.moderation import look
from gateway.ops.callers import OPERATOR, VIEWER
from gateway.ops.record import recorded

# No control characters: the list ends up on terminals, and PostgreSQL keeps no NUL.
Word = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=WORD_CHARACTERS_MAX,
        pattern=r"^[^\u0000-\u001f\u007f-\u009f]*(?!\n)$",
    ),
]
WordList = Annotated[list[Word], Meta(max_length=WORDS_MAX)]


@attrs.frozen
class Words:
    """In the order in which they were given."""

    words: WordList


@attrs.frozen
class NewWords:
    """Instead of those that were there."""

    words: WordList


async def show_words(ask: Ask[OperatorToken, None]) -> Words:
    await look(ask.outside.moderator, ask.outside.operators)
    return Words(list(ask.outside.moderator.known.words))


async def set_words(ask: Ask[OperatorToken, NewWords]) -> Words:
    await ask.outside.operators.set_words(ask.body.words)
    await look(ask.outside.moderator, ask.outside.operators)
    return Words(ask.body.words)


def _count(ask: Ask[OperatorToken, NewWords]) -> str:
    return f"{len(ask.body.words)} words"


ROUTES = (
    Route(
        "GET",
        "/ops/moderation/words",
        "Show the banned words",
        VIEWER,
        type(None),
        show_words,
        answers={Words: 200},
    ),
    recorded(
        Route(
            "PUT",
            "/ops/moderation/words",
            "Set the banned words",
            OPERATOR,
            NewWords,
            set_words,
            answers={Words: 200},
        ),
        target=_count,
    ),
)
