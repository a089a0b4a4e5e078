from __future__ import annotations

import ipaddress

import pytest

from common.settings import Network
from gateway.address import UNKNOWN, client_address

PROXIES: tuple[Network, ...] = (
    ipaddress.ip_network("10.0.0.0/8"),
    ipaddress.ip_network("2001:db8::/32"),
)


def seen(client: str | None, *forwarded: str, trusted: tuple[Network, ...] = PROXIES) -> str:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    scope = {"client": None if client is None else (client, 1234), "headers": headers}
    return client_address(scope, trusted)


def test_without_trusted_proxies_nobody_can_pretend() -> None:
    assert seen("192.0.2.1", "198.51.100.7", trusted=()) == "192.0.2.1"
    assert seen("192.0.2.1", "198.51.100.7") == "192.0.2.1"


def test_a_trusted_proxy_names_its_client() -> None:
    assert seen("10.0.0.1", "198.51.100.7") == "198.51.100.7"
    assert seen("2001:db8::1", "198.51.100.7") == "198.51.100.7"
    assert seen("::ffff:10.0.0.1", "198.51.100.7") == "198.51.100.7"


def test_what_the_client_made_up_is_behind_what_the_proxy_added() -> None:
    assert seen("10.0.0.1", "1.2.3.4, 198.51.100.7") == "198.51.100.7"
    assert seen("10.0.0.1", "10.0.0.9, 198.51.100.7") == "198.51.100.7"
    assert seen("10.0.0.1", "1.2.3.4", "198.51.100.7") == "198.51.100.7"


def test_a_chain_of_trusted_proxies_is_followed_to_its_end() -> None:
    assert seen("10.0.0.1", "198.51.100.7, 10.0.0.3, 10.0.0.2") == "198.51.100.7"
    assert seen("10.0.0.1", "10.0.0.3, 10.0.0.2") == "10.0.0.3"


@pytest.mark.parametrize("junk", ["", ",", "unknown", "1.2.3", "x" * 10_000, "\xff", "_hidden"])
def test_junk_is_counted_as_the_proxys_own(junk: str) -> None:
    assert seen("10.0.0.1", junk) == "10.0.0.1"


def test_one_address_has_one_spelling() -> None:
    assert seen("::ffff:192.0.2.1") == seen("192.0.2.1")
    assert seen("10.0.0.1", "[2001:0DB9::0001]") == "2001:db9::1"


def test_a_socket_without_an_address_has_one_limit_for_all() -> None:
    assert seen(None) == UNKNOWN
    assert seen("not an address") == UNKNOWN
