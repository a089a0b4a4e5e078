"""What the words of a command line may be: each kind says in one line what is wrong with a word.

Whatever can be seen to be wrong is refused here, before anything is begun.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click


class GatewayUrl(click.ParamType[str, Any]):
    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            parts = urlsplit(value)
            is_right = parts.scheme in ("http", "https") and bool(parts.hostname)
            is_right = is_right and parts.port != 0 and not parts.query and not parts.fragment
        except ValueError:
            is_right = False
        if not is_right:
            self.fail(f"{value!r} is no gateway's address, write http://127.0.0.1:8080", param, ctx)
        return str(value).rstrip("/")


class Chunk(click.ParamType[str, Any]):
    name = "chunk"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from common.grid import CHUNK_SIZE, ChunkId, chunk_coordinates
        from common.limits import COORDINATE_MAX

        try:
            farthest = max(map(abs, chunk_coordinates(ChunkId(value))))
        except ValueError:
            farthest = COORDINATE_MAX
        if farthest > COORDINATE_MAX // CHUNK_SIZE:
            self.fail(f"{value!r} is no chunk, write 0:0 or -3:12", param, ctx)
        return str(value)


class Number(click.FloatRange):
    """Without what no comparison sees: nan."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is no number", param, ctx)
        return number


class FileToWrite(click.Path):
    """``makes_folders``: who writes it makes the folders above it."""

    def __init__(self, *, makes_folders: bool = False) -> None:
        super().__init__(path_type=Path, dir_okay=False, writable=True)
        self._makes_folders = makes_folders

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        place = path.absolute().parent
        if self._makes_folders:
            place = next(each for each in (place, *place.parents) if each.exists())
        if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
            self.fail(f"{path} cannot be written: {place} is no folder for it", param, ctx)
        return path


class Commands(click.Group):
    """A wrong word is one line and exit code 2; a Ctrl-C 130, but for commands that serve."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.exceptions.NoArgsIsHelpError as nothing:
            nothing.show()
            raise SystemExit(nothing.exit_code) from None
        except click.ClickException as error:
            click.echo(_line(error), err=True)
            raise SystemExit(error.exit_code) from None
        except click.Abort:
            raise SystemExit(130) from None
        raise SystemExit(code if isinstance(code, int) else 0)


def _line(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context else "tessera"
    said = " ".join(error.format_message().split()).rstrip(".")
    return f"tessera: {said[:1].lower()}{said[1:]}; {command} --help says more"
