"""What the operators' API answers, as tables for a terminal.

Pure. Whatever was said by others is shown as text, never as markup, and without what a terminal
would obey.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from ops.watch import printable

_NOTHING = "-"


def table(*columns: str, rows: Iterable[Iterable[object]]) -> Table:
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        is_number = column.startswith("#")
        made.add_column(
            column.removeprefix("#"), justify="right" if is_number else "left", overflow="fold"
        )
    for row in rows:
        made.add_row(*(Text(_shown(value)) for value in row))
    return made


def _shown(value: object) -> str:
    match value:
        case None | "":
            return _NOTHING
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.1f}"
        case list():
            return " ".join(map(str, value)) or _NOTHING
        case _:
            return printable(str(value))


def slots(topology: Mapping[str, Any]) -> Table:
    return table(
        "#slot", "state", "shard", "#epoch", "#chunks", "#agents", "#late p50 ms", "#p99",
        "#waiting",
        rows=(
            (
                slot["slot"], state_of(slot), slot["shard"], slot["epoch"], slot["chunks"],
                slot["agents"], slot["lateness_p50_ms"], slot["lateness_p99_ms"], slot["waiting"],
            )
            for slot in topology["slots"]
        ),
    )  # fmt: skip


def state_of(slot: Mapping[str, Any]) -> str:
    if slot["shard"] is None:
        return "free"
    if slot["draining"]:
        return "draining"
    if not slot["in_force"]:
        return "leaving"
    return "moving" if slot["leaving"] else "held"


def shards(topology: Mapping[str, Any]) -> Table:
    return table(
        "shard", "slots", "#chunks", "draining",
        rows=(
            (shard["shard"], shard["slots"], shard["chunks"], shard["draining"])
            for shard in topology["shards"]
        ),
    )  # fmt: skip


def pauses(topology: Mapping[str, Any], epoch: int) -> Table:
    """Of the chunks that the reshard to ``epoch`` moved, as each slot that got some says."""
    return table(
        "#slot", "shard", "#chunks moved", "#pause p50 ms", "#p99", "#max",
        rows=(
            (slot["slot"], slot["shard"], moved["chunks"], moved["p50_ms"], moved["p99_ms"],
             moved["max_ms"])
            for slot in topology["slots"]
            if (moved := slot["moved"]) is not None and moved["epoch"] == epoch
        ),
    )  # fmt: skip


def chunks(items: Iterable[Mapping[str, Any]]) -> Table:
    return table(
        "chunk", "#slot", "shard", "#agents", "#epoch", "#generation", "taken at",
        rows=(
            (item["chunk"], item["slot"], item["shard"], item.get("agents"), item["epoch"],
             item["generation"], item["taken_at"])
            for item in items
        ),
    )  # fmt: skip


def agents(items: Iterable[Mapping[str, Any]]) -> Table:
    return table(
        "agent", "name", "online", "chunk", "muted until", "banned at",
        rows=(
            (item["agent_id"], item["name"], item["online"], item["chunk"], item["muted_until"],
             item["banned_at"])
            for item in items
        ),
    )  # fmt: skip


def audit(items: Iterable[Mapping[str, Any]]) -> Table:
    """Without the trace ids, which no terminal has room for: ``--json`` has them."""
    return table(
        "#row", "at", "who", "role", "what", "target", "result",
        rows=(
            (item["id"], item["at"], item["actor"], item["role"], item["action"], item["target"],
             item["result"])
            for item in items
        ),
    )  # fmt: skip


def tokens(items: Iterable[Mapping[str, Any]]) -> Table:
    return table(
        "token", "role", "label", "created at", "expires at", "revoked at",
        rows=(
            (item["token_id"], item["role"], item["label"], item["created_at"], item["expires_at"],
             item["revoked_at"])
            for item in items
        ),
    )  # fmt: skip
