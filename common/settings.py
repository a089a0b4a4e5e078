"""What an operator may set, read once from the environment.

Pure: the environment is an argument, and so is who reads a file: each setting may also be in the
file that ``<NAME>_FILE`` names, as secrets are mounted. Everything that is wrong is said at once,
names that nobody knows too; no address is quoted, because there are passwords in them. One class
for all roles, so that one environment file serves every process of a compose project.
"""

from __future__ import annotations

import difflib
import ipaddress
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs

from common.errors import Misconfigured
from common.tokens import HashingKeys, Kind, parse_token
from common.traces import Sampling

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
ReadFile = Callable[[str], str]
"""Returns the text of the file at a path; OSError or ValueError when it can't."""

COUNT_MAX = 10**9  # Far beyond any use; as a rate it still fits into what Lua counts exactly.
PREFIX = "TESSERA_"
FILE = "_FILE"
TESTS_PREFIX = "TESSERA_TEST_"  # What only the tests read; processes that they start see it too.
HASHING_KEY_CHARACTERS_MIN = 32  # Of hexadecimal digits: 128 bits.
NO_HASHING_KEY = "none"  # As the previous one: tokens are good that were made before there was one.
_NEAR = 0.6  # difflib's own idea of a close match.


def no_files(path: str) -> str:
    raise OSError(0, "nobody reads files here", path)


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(_network(part.strip()) for part in text.split(",") if part.strip())


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(_advice_on(text)) from None


def _advice_on(network: str) -> str:
    try:
        meant = ipaddress.ip_interface(network).network
    except ValueError:
        return f"{network!r} is no network, write them as 10.0.0.0/8, with commas between"
    return f"{network!r} is an address in a network, write {meant}"


def _count(text: str) -> int:
    # Not int() alone: it also takes 1_000, and says of others what only a programmer understands.
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(COUNT_MAX)):
        raise ValueError(f"{text!r} is no whole number from 0 to {COUNT_MAX}")
    if (number := int(text)) > COUNT_MAX:
        raise ValueError(f"{text!r} is more than {COUNT_MAX}")
    return number


def _log_level(text: str) -> str:
    if text not in ("debug", "info", "warning", "error"):
        raise ValueError(f"{text!r} is none of debug, info, warning, error")
    return text


def _otlp_url(text: str) -> str:
    return _url(text, ("http", "https"), "http://collector:4318")


def _otlp_protocol(text: str) -> str:
    if text != "http/protobuf":
        raise ValueError(f"{text!r} is not http/protobuf, the one that there is")
    return text


def _exporter(text: str) -> str:
    if text not in ("otlp", "none"):
        raise ValueError(f"{text!r} is neither otlp nor none")
    return text


def _sampler(text: str) -> str:
    if text.removeprefix("parentbased_") not in ("always_on", "always_off", "traceidratio"):
        raise ValueError(
            f"{text!r} is none of always_on, always_off, traceidratio, parentbased_..."
        )
    return text


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise ValueError(f"{text!r} is no number from 0 to 1")
    return share


def _switch(text: str) -> bool:
    return text.lower() == "true"  # As OpenTelemetry has it: all else is false.


def _log_format(text: str) -> str:
    if text not in ("json", "text"):
        raise ValueError(f"{text!r} is neither json nor text")
    return text


def _hashing_key(text: str) -> bytes:
    # It quotes nothing: what is too short may still be what somebody uses.
    if not (text.isascii() and text.isprintable()) or len(text) < HASHING_KEY_CHARACTERS_MIN:
        raise ValueError(
            f"it is not {HASHING_KEY_CHARACTERS_MIN} or more printable ASCII characters,"
            " make one with: openssl rand -hex 32"
        )
    return text.encode()


def _previous_hashing_key(text: str) -> bytes:
    return b"" if text == NO_HASHING_KEY else _hashing_key(text)


def _operator_token(text: str) -> str:
    if parse_token(Kind.OPERATOR, text) is None:
        raise ValueError("it is no operator's token, or it is mistyped")
    return text


def _postgres_url(text: str) -> str:
    return _url(text, ("postgresql", "postgres"), "postgresql://user@host:5432/name")


def _redis_url(text: str) -> str:
    if text.startswith("unix://"):
        return text
    return _url(text, ("redis", "rediss"), "redis://host:6379/0")


def _url(text: str, schemes: tuple[str, ...], example: str) -> str:
    if trouble := _trouble_with(text, schemes):
        raise ValueError(f"{trouble}, write it as {example}")
    return text


def _trouble_with(url: str, schemes: tuple[str, ...]) -> str | None:
    """What can't be right whatever the server is; in words that quote nothing of a password."""
    scheme, there, _ = url.partition("://")
    if not there:
        return f"it does not begin with {schemes[0]}://"
    if scheme not in schemes:
        return f"it begins with {scheme}://" if scheme.isalpha() else "it begins otherwise"
    try:
        parts = urlsplit(url)
        options = parse_qs(parts.query)
    except ValueError:
        return "it cannot be read"
    hosts = parts.netloc.rpartition("@")[2]
    if not hosts:
        # PostgreSQL's own way to name a socket in a folder.
        return None if "host" in options else "it names no host"
    # PostgreSQL takes several servers.
    troubles = (_trouble_with_host(host) for host in hosts.split(","))
    return next((trouble for trouble in troubles if trouble), None)


def _trouble_with_host(host: str) -> str | None:
    try:
        parts = urlsplit(f"//{host}")
        port = parts.port
    except ValueError:
        return (
            "its port is no number from 1 to 65535 (a password needs / and @ written %2F and %40)"
        )
    if not parts.hostname:
        return "it names no host"
    return "its port is no number from 1 to 65535" if port == 0 else None


def _setting(
    name: str, default: Any, read: Callable[[str], Any], about: str, *, secret: bool = False
) -> Any:
    metadata = {"name": name, "read": read, "about": about}
    return attrs.field(default=default, metadata=metadata, repr=not secret)


@attrs.frozen
class Settings:
    database_url: str | None = _setting(
        "DATABASE_URL", None, _postgres_url, "PostgreSQL; unset: tessera up embeds one"
    )
    redis_url: str | None = _setting(
        "REDIS_URL", None, _redis_url, "Redis or Valkey; unset: tessera up embeds one"
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
    tls_cert: str | None = _setting(
        "TESSERA_TLS_CERT",
        None,
        str,
        "a gateway's: file with the certificate and its chain, PEM; unset: no TLS",
    )
    tls_key: str | None = _setting(
        "TESSERA_TLS_KEY", None, str, "file with its key, PEM; unset: in the certificate's"
    )
    hashing_key: bytes = _setting(
        "TESSERA_HASHING_KEY", b"", _hashing_key, "of API keys and operators' tokens", secret=True
    )
    hashing_key_previous: bytes | None = _setting(
        "TESSERA_HASHING_KEY_PREVIOUS",
        None,
        _previous_hashing_key,
        "still accepted; none: what was made without a key",
        secret=True,
    )
    ops_token: str | None = _setting(
        "TESSERA_OPS_TOKEN",
        None,
        _operator_token,
        "with which tessera ops calls",
        secret=True,
    )
    drain_seconds: int = _setting(
        "TESSERA_DRAIN_SECONDS", 30, _count, "for a shard to hand over what it has, on SIGTERM"
    )
    log_format: str | None = _setting(
        "TESSERA_LOG_FORMAT", None, _log_format, "json or text; unset: text on a terminal"
    )
    log_level: str = _setting(
        "TESSERA_LOG_LEVEL", "info", _log_level, "of our own lines; debug: one or two a command"
    )
    # The names that every program with OpenTelemetry has; see its documentation.
    otlp_endpoint: str | None = _setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT", None, _otlp_url, "where traces go; unset: nowhere"
    )
    otlp_traces_endpoint: str | None = _setting(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", None, _otlp_url, "the same, its path included"
    )
    otlp_protocol: str = _setting(
        "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", _otlp_protocol, "how traces go"
    )
    traces_exporter: str = _setting("OTEL_TRACES_EXPORTER", "otlp", _exporter, "none: no traces")
    traces_sampler: str = _setting(
        "OTEL_TRACES_SAMPLER", "parentbased_always_on", _sampler, "which traces are exported"
    )
    traces_share: float = _setting(
        "OTEL_TRACES_SAMPLER_ARG", 1.0, _share, "of traceidratio: the share that is exported"
    )
    otel_disabled: bool = _setting("OTEL_SDK_DISABLED", False, _switch, "true: no traces")

    @property
    def traces_endpoint(self) -> str:
        """Where spans go, "" when nobody said."""
        if self.otlp_traces_endpoint is not None:
            return self.otlp_traces_endpoint
        return f"{self.otlp_endpoint.rstrip('/')}/v1/traces" if self.otlp_endpoint else ""

    @property
    def exports_traces(self) -> bool:
        is_on = self.traces_exporter == "otlp" and not self.otel_disabled
        return is_on and bool(self.traces_endpoint)

    @property
    def sampling(self) -> Sampling:
        kind = self.traces_sampler.removeprefix("parentbased_")
        share = {"always_on": 1.0, "always_off": 0.0}.get(kind, self.traces_share)
        return Sampling(share, heeds_parent=kind != self.traces_sampler)

    @property
    def hashing_keys(self) -> HashingKeys:
        return HashingKeys(self.hashing_key, self.hashing_key_previous)


def read_settings(
    environment: Mapping[str, str],
    needed: Iterable[str] = (),
    read_file: ReadFile = no_files,
) -> Settings:
    """Return the settings, or Misconfigured with all that is wrong. ``needed`` must be there."""
    settings, wrong = look_at_settings(environment, read_file)
    if missing := [name for name in needed if not is_set(environment, name)]:
        wrong.append(f"set {' and '.join(missing)} (tessera up needs neither)")
    if wrong:
        raise Misconfigured("; ".join(wrong))
    return settings


def look_at_settings(
    environment: Mapping[str, str], read_file: ReadFile = no_files
) -> tuple[Settings, list[str]]:
    """Return what can be read, and what is wrong with the rest, which keeps its defaults."""
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for field in attrs.fields(Settings):
        name = field.metadata["name"]
        try:
            if text := _text(environment, name, read_file):
                values[field.name] = field.metadata["read"](text)
        except ValueError as error:
            wrong.append(f"{name}: {error} ({field.metadata['about']})")
    return Settings(**values), [*wrong, *map(_unknown, _unknown_names(environment))]


def is_set(environment: Mapping[str, str], name: str) -> bool:
    """Whether somebody wished to set it, there or in a file."""
    return bool(environment.get(name) or environment.get(name + FILE))


def _text(environment: Mapping[str, str], name: str, read_file: ReadFile) -> str:
    """What it is set to, "" if it isn't."""
    text, path = environment.get(name, ""), environment.get(name + FILE, "")
    if not path:
        return text
    if text:
        raise ValueError(f"{name}{FILE} is set too, unset one of them")
    try:
        text = read_file(path).strip()
    except OSError as error:
        raise ValueError(f"{name}{FILE} names {path}: {error.strerror}") from None
    except ValueError:
        raise ValueError(f"{name}{FILE} names {path}, which is no text") from None
    if not text:
        raise ValueError(f"{name}{FILE} names {path}, which is empty")
    return text


def _unknown_names(environment: Mapping[str, str]) -> list[str]:
    """Names that look like ours, and would be set in vain."""
    return sorted(
        name
        for name, text in environment.items()
        if text
        and name.startswith(PREFIX)
        and not name.startswith(TESTS_PREFIX)
        and name.removesuffix(FILE) not in _NAMES
    )


def _unknown(name: str) -> str:
    known = [each.removeprefix(PREFIX) for each in _NAMES]
    near = difflib.get_close_matches(name.removeprefix(PREFIX), known, n=1, cutoff=_NEAR)
    return f"{name} is no setting, " + (f"did you mean {PREFIX}{near[0]}?" if near else "unset it")


_NAMES = tuple(field.metadata["name"] for field in attrs.fields(Settings))
