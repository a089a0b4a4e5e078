"""Which series and labels a PromQL expression asks for. Words only: promtool checks the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

FUNCTIONS = frozenset(
    {"absent", "avg", "histogram_quantile", "increase", "max", "min", "rate", "sum"}
)
_WORDS = frozenset({"and", "bool", "by", "ignoring", "on", "or", "unless", "without"})
_TOKEN = re.compile(
    r"""(?P<string>"[^"]*"|'[^']*')|(?P<range>\[[^\]]*\])|(?P<number>\d[\d.]*)"""
    r"""|(?P<word>[a-zA-Z_][a-zA-Z0-9_]*)|(?P<sign>[^\s\w])"""
)


@attrs.define
class Asked:
    """``matched`` are labels in braces, with their series; ``grouped`` those of by, on ..."""

    series: set[str] = attrs.field(factory=set)
    matched: set[tuple[str, str]] = attrs.field(factory=set)
    grouped: set[str] = attrs.field(factory=set)


def asked_by(expression: str) -> Asked:
    """Raises ValueError at a word that is neither a series nor known."""
    asked, tokens = Asked(), list(_tokens(expression))
    series, place = "", ""
    for index, (kind, text) in enumerate(tokens):
        following = tokens[index + 1][1] if index + 1 < len(tokens) else ""
        if text in ("{", "}"):
            place = "braces" if text == "{" else ""
        elif text == ")" and place == "list":
            place = ""
        elif kind != "word":
            continue
        elif place == "braces":
            asked.matched.add((series, text))
        elif place == "list":
            asked.grouped.add(text)
        elif text in _WORDS:
            place = "list" if following == "(" and text not in ("and", "or", "unless") else place
        elif following in ("(", "by", "without"):
            if text not in FUNCTIONS:
                raise ValueError(f"{text} is no function that is known here: {expression}")
        else:
            series = text
            asked.series.add(text)
    return asked


def _tokens(expression: str) -> Iterator[tuple[str, str]]:
    for found in _TOKEN.finditer(expression):
        assert found.lastgroup is not None
        yield found.lastgroup, found[0]
