"""What a person (or a log collector) sees of ``tessera up``: progress, and the children's lines.

Text: a spinner on a terminal, plain lines elsewhere, children's lines with their names in front.
JSON: every line is an object, a child's own untouched, and what is none of ours wrapped.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import attrs
import click
import structlog
import trio
from rich.console import Console

from common.adapters.logs import wants_colour
from common.masking import mask

PATIENCE_SECONDS = 1.0  # What takes longer than this says that it does.
_NAME_WIDTH = 10  # "postgres-0"
_COLOURS = {"gateway": "cyan", "shard": "green", "bots": "magenta"}

log = structlog.get_logger("tessera.up")


@attrs.frozen
class Screen:
    format: Literal["json", "text"]

    def say(self, event: str, **facts: str | int) -> None:
        """Show what the person waited for; in JSON the facts are fields."""
        if self.format == "json":
            log.info(event, **facts)
        else:
            _print(event)

    def relay(self, name: str, line: bytes) -> None:
        """Show a line that the child ``name`` wrote."""
        text = line.decode(errors="replace")
        if self.format == "text":
            _print(f"{self._prefix(name)} {mask(text)}")
        elif _is_json_object(text):
            _print(text)
        else:
            log.info(text, child=name)

    @asynccontextmanager
    async def step(self, what: str) -> AsyncIterator[None]:
        """Show ``what`` while the block lasts, if that is longer than a second."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._show_progress, what)
            yield
            nursery.cancel_scope.cancel()

    async def _show_progress(self, what: str) -> None:
        await trio.sleep(PATIENCE_SECONDS)
        if self.format == "text" and sys.stdout.isatty():
            with Console().status(f"{what} ..."):
                await trio.sleep_forever()
        self.say(f"{what} ...")

    def _prefix(self, name: str) -> str:
        prefix = f"{name:<{_NAME_WIDTH}} |"
        if wants_colour(sys.stdout, os.environ):
            return click.style(prefix, fg=_COLOURS.get(name.split("-")[0], "blue"))
        return prefix


def _print(line: str) -> None:
    """Print ``line``, unless whoever read us has gone: the world goes on without."""
    try:
        print(line, flush=True)
    except OSError:
        # What is left in the buffer would be tried again, and be an error at our own end.
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
