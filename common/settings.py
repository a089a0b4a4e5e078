"""What an operator may set, read once from the environment.

Pure: the environment is an argument. Everything that is wrong is said at once. One class for
all roles, so that one environment file serves every process of a compose project.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

import attrs

from common.errors import Misconfigured

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError("must not be negative")
    return number


def _log_format(text: str) -> str:
    if text not in ("json", "text"):
        raise ValueError("must be json or text")
    return text


def _setting(name: str, default: Any, read: Any, about: str) -> Any:
    return attrs.field(default=default, metadata={"name": name, "read": read, "about": about})


@attrs.frozen
class Settings:
    database_url: str | None = _setting(
        "DATABASE_URL", None, str, "PostgreSQL, postgresql://...; unset: tessera up embeds one"
    )
    redis_url: str | None = _setting(
        "REDIS_URL", None, str, "Redis or Valkey, redis://...; unset: tessera up embeds one"
    )
    signups_per_min: int = _setting("TESSERA_SIGNUPS_PER_MIN", 10, _count, "per address")
    sessions_per_min: int = _setting("TESSERA_SESSIONS_PER_MIN", 30, _count, "per key")
    keys_per_hour: int = _setting("TESSERA_KEYS_PER_HOUR", 20, _count, "per agent")
    commands_per_s: int = _setting(
        "TESSERA_COMMANDS_PER_S", 10, _count, "per session, burst twice that"
    )
    chat_per_min: int = _setting("TESSERA_CHAT_PER_MIN", 20, _count, "per agent")
    spectators_per_address: int = _setting(
        "TESSERA_SPECTATORS_PER_ADDRESS", 50, _count, "per gateway"
    )
    spectators_max: int = _setting("TESSERA_SPECTATORS_MAX", 10_000, _count, "per gateway")
    agents_max: int = _setting("TESSERA_AGENTS_MAX", 5_000, _count, "per gateway")
    trusted_proxies: tuple[Network, ...] = _setting(
        "TESSERA_TRUSTED_PROXIES", (), _networks, "networks whose X-Forwarded-For is believed"
    )
    log_format: str | None = _setting(
        "TESSERA_LOG_FORMAT", None, _log_format, "json or text; unset: text on a terminal"
    )


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings, or Misconfigured with one line for each that is wrong."""
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for field in attrs.fields(Settings):
        name = field.metadata["name"]
        if text := environment.get(name, ""):
            try:
                values[field.name] = field.metadata["read"](text)
            except ValueError as error:
                wrong.append(f"{name}={text!r}: {error} ({field.metadata['about']})")
    if wrong:
        raise Misconfigured("; ".join(wrong))
    return Settings(**values)
