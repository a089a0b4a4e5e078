"""Which address a request comes from, when proxies that we trust may stand before us.

Pure. It believes ``X-Forwarded-For`` only as far as the chain of trusted proxies reaches, so a
client can't invent an address. It knows no other forwarding header.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from common.settings import Network

UNKNOWN = "unknown"
"""Who comes through a socket without an address; all of them share one limit."""


def client_address(scope: Mapping[str, Any], trusted: Sequence[Network]) -> str:
    """Return the nearest address that is not a trusted proxy, for an ASGI ``scope``."""
    client = scope.get("client")
    nearest = _parse(client[0]) if client else None
    if nearest is None:
        return UNKNOWN
    for hop in reversed(_forwarded(scope["headers"])):
        further = _parse(hop)
        # What a trusted proxy could not name is counted as the proxy's own.
        if further is None or not any(nearest in network for network in trusted):
            break
        nearest = further
    return str(nearest)


def _forwarded(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """Return every hop of every X-Forwarded-For header, the nearest last (RFC 7239 order)."""
    values = [value.decode("latin-1") for name, value in headers if name == b"x-forwarded-for"]
    return [hop.strip() for hop in ",".join(values).split(",") if hop.strip()]


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None
    # A dual-stack socket shows IPv4 peers as ::ffff:a.b.c.d; the operator wrote a.b.c.d.
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed
