"""Which series and labels a PromQL expression asks for. Words only: promtool checks the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import product

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


@attrs.frozen
class Counted:
    """One series, or those with these labels: ``function`` of how it has grown."""

    function: str
    series: str
    labels: Mapping[str, str]


_COUNTED = re.compile(r"\b(increase|rate)\((\w+)(?:\{([^}]*)\})?\[")
_MATCHER = re.compile(r"(\w+)\s*(=~|=|!=|!~)\s*\"([^\"]*)\"")


def counted_by(expression: str) -> list[Counted]:
    """Each that it asks for by name; of ``a|b`` both. ValueError at what can't be told apart."""
    found = []
    for function, series, braces in _COUNTED.findall(expression):
        matchers = _MATCHER.findall(braces)
        if any(sign not in ("=", "=~") for _, sign, _ in matchers):
            raise ValueError(f"which labels these are can't be told: {expression}")
        names = [name for name, _, _ in matchers]
        choices = [text.split("|") if sign == "=~" else [text] for _, sign, text in matchers]
        if any(not re.fullmatch(r"\w*", choice) for each in choices for choice in each):
            raise ValueError(f"only words and | can be told apart: {expression}")
        found += [
            Counted(function, series, dict(zip(names, one, strict=True)))
            for one in product(*choices)
        ]
    if len(re.findall(r"\b(?:increase|rate)\b", expression)) != len(_COUNTED.findall(expression)):
        raise ValueError(f"counts what is not a series: {expression}")
    return found


def _tokens(expression: str) -> Iterator[tuple[str, str]]:
    for found in _TOKEN.finditer(expression):
        assert found.lastgroup is not None
        yield found.lastgroup, found[0]
