"""What others have named is shown as text, and nothing of it is obeyed."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from ops.operate import tables
from tests.ops.operate.test_following import PAUSES, a_slot, a_topology


def drawn(table: Any) -> str:
    said = io.StringIO()
    Console(file=said, width=250).print(table)
    return said.getvalue()


def test_a_table_has_what_was_answered() -> None:
    text = drawn(tables.slots(a_topology(a_slot(0), a_slot(7, shard=None, chunks=None))))
    assert "shard-0" in text
    assert "free" in text
    assert "9.0" in text
    assert " - " in text
    assert "80.0" in drawn(tables.pauses(a_topology(a_slot(0, moved=PAUSES)), 2))
    assert "80.0" not in drawn(tables.pauses(a_topology(a_slot(0, moved=PAUSES)), 3))


@pytest.mark.parametrize(
    ("slot", "state"),
    [
        (a_slot(), "held"),
        (a_slot(shard=None), "free"),
        (a_slot(draining=True), "draining"),
        (a_slot(in_force=False), "leaving"),
        (a_slot(leaving=3), "moving"),
    ],
)
def test_a_slots_state_is_one_word(slot: dict[str, Any], state: str) -> None:
    assert tables.state_of(slot) == state


def test_names_are_neither_markup_nor_commands_to_a_terminal() -> None:
    token = {
        "token_id": "id", "role": "admin", "label": "[red]x[/red]\x1b[2J", "created_at": "now",
        "expires_at": None, "revoked_at": None,
    }  # fmt: skip
    text = drawn(tables.tokens([token]))
    assert "[red]x[/red]" in text
    assert "\x1b" not in text
