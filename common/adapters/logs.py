"""How every process logs: structlog, the libraries' own logging through the same way.

JSON lines, or text with colour on a terminal; on standard output. It does not decide what is
worth a line. The promise: what looks like a token, key, signature, address or e-mail never reaches
the output, whether it is a field of its own, part of a message, or in a traceback. (It is the
second lock: nobody is to log what a client wrote in the first place.)
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Mapping
from typing import Literal, TextIO

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from common.masking import HIDDEN, mask

_SECRET_NAME = re.compile(
    r"secret|passw|token|api_?key|authorization|cookie|signature|credential|address|e_?mail",
    re.IGNORECASE,
)
_NO_SECRET = re.compile(r"_(id|count|hash)$", re.IGNORECASE)

_OURS = ("common", "gateway", "shard", "ops", "tessera")


def configure_logs(format: Literal["json", "text"], level: str = "info") -> None:
    """Send everything that this process logs to standard output. Call it first in a process.

    ``level`` is that of our own lines. Libraries stay at info: at debug some of them write down
    whole requests.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = _StandardOutput()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # Plain text without local variables: those are where secrets live.
                structlog.processors.format_exc_info,
                hide_secrets,
                _renderer(format),
            ],
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # Each says at every start or request, in its own words, what we say ourselves.
    for chatty in ("hypercorn.error", "httpx", "httpcore", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)  # It warns of every try.
    for own in _OURS:
        logging.getLogger(own).setLevel(level.upper())
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The structlog processor that keeps the promise; after it only rendering may follow."""
    return {name: _shown(name, value) for name, value in event.items()}


def _shown(name: str, value: object) -> object:
    if _SECRET_NAME.search(name) and not _NO_SECRET.search(name):
        return HIDDEN
    return _masked(value)


def _masked(value: object) -> object:
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return mask(value)
        case Mapping():
            return {mask(str(key)): _shown(str(key), part) for key, part in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_masked(part) for part in value]
        case _:
            return mask(repr(value))


def _renderer(format: Literal["json", "text"]) -> Processor:
    if format == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(
        colors=wants_colour(sys.stdout, os.environ),
        exception_formatter=structlog.dev.plain_traceback,
    )


def wants_colour(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """On a terminal, unless the usual NO_COLOR and FORCE_COLOR say otherwise."""
    if environment.get("NO_COLOR"):
        return False
    return bool(environment.get("FORCE_COLOR")) or stream.isatty()


class _StandardOutput(logging.StreamHandler[TextIO]):
    """Standard output as it is when a line is written: a spinner may stand in for a while."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        return sys.stdout

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        raise AttributeError("this handler follows sys.stdout")
