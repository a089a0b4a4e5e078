"""Over a real socket: a connection is good for the next request, whatever became of the last."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

SECONDS_MAX = 5.0  # Only a failing test waits this long.


@pytest.fixture
def client(live_url: str) -> Iterator[socket.socket]:
    url = urlsplit(live_url)
    with socket.create_connection((url.hostname or "", url.port or 80), SECONDS_MAX) as client:
        yield client


def read_status(client: socket.socket) -> int:
    response = http.client.HTTPResponse(client)
    response.begin()
    response.read()
    return response.status


def head(request: str, length: int) -> bytes:
    lines = (request, "Host: test", "Content-Type: application/json", f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


NEXT = b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n"


def test_who_is_refused_before_its_body_came_is_served_again(client: socket.socket) -> None:
    client.sendall(head("POST /v1/keys HTTP/1.1", 2))
    assert read_status(client) == 401
    client.sendall(b"{}")
    client.sendall(NEXT)
    assert read_status(client) == 200


def test_many_requests_in_a_row_are_all_answered(client: socket.socket) -> None:
    for _ in range(300):
        client.sendall(head("POST /v1/keys HTTP/1.1", 2))
        client.sendall(b"{}")
        assert read_status(client) == 401
    client.sendall(NEXT)
    assert read_status(client) == 200


def test_a_body_that_is_too_large_is_refused_before_it_ends(client: socket.socket) -> None:
    client.sendall(head("POST /v1/signup HTTP/1.1", 10**9))
    assert read_status(client) == 413


def test_head_has_no_body(client: socket.socket) -> None:
    client.sendall(NEXT.replace(b"GET", b"HEAD"))
    response = http.client.HTTPResponse(client, method="HEAD")
    response.begin()
    assert response.status == 200
    client.sendall(NEXT)
    assert read_status(client) == 200
