"""What the commands that call the operators' API have in common: its place, a token, output."""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ops.command import run, settings_needing
from ops.parameters import GatewayUrl

if TYPE_CHECKING:
    from rich.console import Console

    from ops.operate.api import Api

Work = Callable[["Api", "Console"], Awaitable[None]]

_FILE_WIDTH = 250  # Columns: more than any of our tables has.

data_folder = click.option(
    "--data",
    default=Path(".data"),
    show_default=True,
    type=click.Path(path_type=Path),
    help="The folder of the tessera up that is meant.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print what the API answered.")


def calling(command: Callable[..., Work]) -> Callable[..., None]:
    """Make a command of what returns its work: it is done with the API at hand."""

    @data_folder
    @click.option(
        "--token-file",
        type=click.Path(path_type=Path),
        help="Default: TESSERA_OPS_TOKEN, or DATA/run/ops-token.",
    )
    @click.option("--url", type=GatewayUrl(), help="Default: the tessera up that runs on --data.")
    @functools.wraps(command)
    def call(
        *words: Any, url: str | None, token_file: Path | None, data: Path, **more: Any
    ) -> None:
        work = command(*words, **more)

        def prepare() -> Callable[[], Awaitable[None]]:
            from ops.operate.access import find_access

            token = settings_needing().ops_token
            access = find_access(url, token_file, token, data.absolute())

            async def with_api() -> None:
                from ops.operate.api import open_api

                async with open_api(access) as api:
                    await work(api, a_console())

            return with_api

        run(prepare)

    return call


def a_console() -> Console:
    """Of the terminal's width; what goes into a file or a pipe is not folded."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=_FILE_WIDTH)


def say(line: str) -> None:
    """Print ``line`` without what a terminal would obey: others have had a say in it."""
    from ops.watch import printable

    print(printable(line))


def print_json(answer: Mapping[str, Any]) -> None:
    print(json.dumps(answer, indent=1))
