"""What every command has in common: its settings, its logs, and how trouble ends it.

What the operator can mend is one line on standard error and exit code 2; other trouble one line
and exit code 1; a bug a traceback. Imports that cost time wait until a command runs.
"""

from __future__ import annotations

import gc
import os
import secrets
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

if TYPE_CHECKING:
    from common.settings import Settings

Format = Literal["json", "text"]


def settings_needing(*needed: str) -> Settings:
    """What the environment says; Misconfigured says all that is wrong with it."""
    from common.settings import read_settings

    return read_settings(os.environ, needed, read_file)


def read_file(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


def chosen_format(settings: Settings) -> Format | None:
    match settings.log_format:
        case "json":
            return "json"
        case "text":
            return "text"
        case _:
            return None


def configure_logs(format: Format | None, role: str | None, level: str = "info") -> None:
    import structlog

    from common.adapters import logs

    format = format or ("text" if sys.stdout.isatty() else "json")
    logs.configure_logs(format, level)
    if format == "json" and role is not None:
        # In text the supervisor puts it in front of every line.
        structlog.contextvars.bind_contextvars(process=role)


def unique_name(role: str) -> str:
    """A new one for every life: whoever died under the old name may still hold a lease."""
    return f"{role}-{socket.gethostname()}-{secrets.token_hex(4)}"


def run(prepare: Callable[[], Callable[[], Awaitable[None]]]) -> None:
    """Run what ``prepare`` returns. Trouble, wherever it was, is one line."""
    import trio

    from common.errors import Misconfigured, Trouble

    try:
        trio.run(prepare())
    except Misconfigured as error:
        _fail(error, 2)
    except Trouble as error:
        _fail(error, 1)
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is not None:
            raise KeyboardInterrupt from None  # What else it broke is of no interest.
        trouble, bugs = group.split(Trouble)
        if trouble is None or bugs is not None:
            raise
        first = min(_leaves(trouble), key=lambda error: not isinstance(error, Misconfigured))
        _fail(first, 2 if isinstance(first, Misconfigured) else 1)
    finally:
        gc.freeze()  # At its end Python looks for garbage again and again: four fifths of its time.


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _fail(error: BaseException, code: int) -> NoReturn:
    from common.masking import mask

    print(f"tessera: {mask(' '.join(str(error).split()))}", file=sys.stderr)
    sys.exit(code)
