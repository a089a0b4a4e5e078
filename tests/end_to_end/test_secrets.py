"""Nothing that is somebody's secret comes out: it is planted wherever a client can, and looked for.

At debug level, with traces exported, in all that real processes log, show Prometheus, and export;
and in the audit log, which any viewer may read and nobody can delete.
"""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from urllib.parse import quote

import attrs
import httpx
import pytest
import trio
from trio_websocket import ConnectionRejected

from common.masking import HIDDEN
from common.tokens import Kind, new_token
from tests.collector import Collector, collecting
from tests.conftest import a_folder
from tests.end_to_end.cluster import GENEROUS, Cluster, tessera_up
from tests.end_to_end.stranger import Frame, Stranger, connected, session_of, signed_up, socket_to

pytestmark = pytest.mark.cluster

# Also loopback, so that nothing hides it for being an address: it must not be written at all.
CLIENT = "127.77.66.55"
BEHIND_PROXY = ("203.0.113.77", "2001:db8::77:99")
EMAIL = "ada.lovelace@example.org"
TRACEPARENT = f"00-{'f' * 32}-{'f' * 16}-01"


@attrs.define
class Plants:
    """What nobody may ever see, by what it is."""

    words: dict[str, str] = attrs.field(factory=dict)

    def add(self, what: str, word: str) -> str:
        self.words[what] = word
        return word

    def found_in(self, text: str) -> list[str]:
        folded = text.lower()
        return [what for what, word in self.words.items() if word.lower() in folded]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture(scope="module")
def watched(collector: Collector) -> Iterator[Cluster]:
    environment = {
        **GENEROUS,
        "TESSERA_LOG_LEVEL": "debug",
        "TESSERA_TRUSTED_PROXIES": "127.0.0.0/8",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
    }
    with a_folder() as folder, tessera_up(folder / "data", environment=environment) as cluster:
        yield cluster


def _strangers_words() -> Plants:
    """Tokens of every kind that are nobody's, a signature, e-mail and addresses."""
    plants = Plants({"e-mail": EMAIL, "e-mail, escaped": quote(EMAIL, safe=""), "client": CLIENT})
    for kind in Kind:
        plants.add(f"a token of {kind}", new_token(kind).secret)
        plants.add(f"a whole token of {kind}", new_token(kind).text)
    plants.add("a signature", base64.urlsafe_b64encode(bytes(range(7, 39))).decode().rstrip("="))
    for address in BEHIND_PROXY:
        plants.add(f"the address {address}", address)
    return plants


async def _spread(cluster: Cluster, plants: Plants) -> None:
    """Plant every word wherever an HTTP client can: path, query, headers, method, body."""
    transport = httpx.AsyncHTTPTransport(local_address=CLIENT)
    async with httpx.AsyncClient(
        base_url=cluster.url(), transport=transport, trust_env=False, timeout=20
    ) as http:
        for word in plants.words.values():
            escaped = quote(word, safe="")
            headers = {
                "Authorization": f"Bearer {word}",
                "Cookie": f"session={word}",
                "User-Agent": word,
                "Referer": f"https://example.net/{escaped}",
                "X-Forwarded-For": f"{word}, {BEHIND_PROXY[0]}",
                "X-Api-Key": word,
                "tracestate": f"vendor={escaped}",
                "traceparent": TRACEPARENT,
            }
            for method, path, body in (
                ("GET", f"/{escaped}", None),
                ("GET", f"/v1/agents/{escaped}", None),
                ("DELETE", f"/v1/keys/{escaped}", None),
                ("GET", f"/v1/world?token={escaped}", None),
                ("GET", f"/v1/spectate?chunks={escaped}", None),
                ("GET", f"/v1/sessions/current?{escaped}={escaped}", None),
                ("POST", "/v1/signup", json.dumps({"name": word, word: word})),
                ("POST", "/v1/signup", f"no JSON but {word}"),
                ("POST", "/v1/keys", json.dumps({"label": word, "scopes": [word]})),
                ("POST", "/v1/sessions", json.dumps({"scopes": [word]})),
                (_as_method(word), "/v1/world", None),
            ):
                answer = await http.request(method, path, headers=headers, content=body)
                assert answer.status_code < 500, (method, path, answer.text)
            broken = {**headers, "traceparent": word}
            await http.get("/v1/world", headers=broken)
            await _knock(cluster, word)


def _as_method(word: str) -> str:
    """A method is a token of HTTP's: letters, digits and some signs."""
    return "".join(sign for sign in word if sign.isalnum() or sign in "-_.")


async def _knock(cluster: Cluster, word: str) -> None:
    """WebSockets that are refused, and bytes that are no HTTP at all."""
    escaped = quote(word, safe="")
    headers = [(b"X-Forwarded-For", word.encode()), (b"Cookie", word.encode())]
    for path in (
        f"/v1/agent?resume={escaped}&last_seq={escaped}",
        f"/v1/spectate/ws?chunks={escaped}&last_event_id={escaped}",
        f"/v1/{escaped}",
    ):
        with pytest.raises(ConnectionRejected):
            async with socket_to(
                cluster.url() + path, f"Bearer {word}", headers=headers, local_address=CLIENT
            ):
                pass
    for line in (
        f"GET /{word} HTTP/9.9\r\n{word}\r\n\r\n",
        f"{word}\r\n\r\n",
        "PRI * HTTP/2.0\r\n",
    ):
        with socket.create_connection(("127.0.0.1", cluster.port), 5, (CLIENT, 0)) as sock:
            sock.sendall(line.encode())
            sock.settimeout(0.2)
            try:
                while sock.recv(4096):
                    pass
            except TimeoutError:
                pass


async def _play(cluster: Cluster, plants: Plants, name: str) -> None:
    """An agent with good secrets, who plants them and all the rest in its frames."""
    who = await signed_up(cluster.url(), name)
    session = await session_of(cluster.url(), who["api_key"])
    for what in ("session_token", "challenge_secret", "resume_token"):
        plants.add(what, session[what])
    plants.add("api_key", who["api_key"])
    headers = [
        (b"traceparent", TRACEPARENT.encode()),
        (b"X-Forwarded-For", BEHIND_PROXY[1].encode()),
    ]
    async with connected(
        cluster.url(), session, who["agent_id"], headers=headers, local_address=CLIENT
    ) as stranger:
        plants.add("the next resume_token", stranger.ready["resume_token"])
        for turn, word in enumerate(tuple(plants.words.values())):
            await _say(stranger, plants, turn, word)
        await stranger.send({"type": "answer", "id": "late", "nonce": "AAAA", "signature": "BBBB"})
        await stranger.next_for("late", "ack")
    async with socket_to(
        cluster.url() + session["ws_path"], f"Bearer {session['session_token']}"
    ) as sock:
        for word in (*tuple(plants.words.values())[:4], "\0"):
            await sock.send_message(f"no JSON but {word}".encode())


async def _say(stranger: Stranger, plants: Plants, turn: int, word: str) -> None:
    command: Frame = {"name": "say", "text": word}
    id = _as_id(word) if turn % 2 else f"c-{turn}"
    await stranger.send({"type": "command_req", "id": id, "command": command})
    challenge = await stranger.next_for(id, "challenge")
    signature = plants.add(f"signature {turn}", stranger.sign(id, command, challenge))
    frame = {"type": "answer", "id": id, "nonce": challenge["nonce"], "signature": signature}
    await stranger.send(frame)
    assert (await stranger.next_for(id, "ack"))["status"] == "accepted"
    await stranger.next_for(id, "result")
    wrong: Frame = {"name": "wait", "ticks": 1, word: word}
    await stranger.send({"type": "command_req", "id": f"{id[:60]}-w", "command": wrong})
    await stranger.next_for(f"{id[:60]}-w", "ack")
    await stranger.send({"type": "cancel", "id": f"{id[:60]}-x"})
    await stranger.next("error")


def _as_id(word: str) -> str:
    """An id has 64 signs at most, of A-Z a-z 0-9 _ . : -"""
    return "".join(sign for sign in word if sign.isalnum() or sign in "_.:-")[:64]


async def _operate(cluster: Cluster, plants: Plants) -> None:
    """Plant every word in operators' calls, with a good token and as anybody."""
    token = plants.add(
        "the admin's token", (cluster.data / "run" / "ops-token").read_text().strip()
    )
    plants.add("the admin's secret", token.split("_")[2])
    async with httpx.AsyncClient(base_url=cluster.url(), trust_env=False, timeout=20) as http:
        for what, word in plants.words.items():
            if word in (CLIENT, token):  # No secret if it is this machine's; not to be revoked.
                continue
            escaped = quote(word, safe="")
            for method, path in (
                ("GET", f"/ops/{escaped}"),
                ("GET", f"/ops/audit?cursor={escaped}"),
                ("DELETE", f"/ops/tokens/{escaped}"),
                ("POST", f"/ops/agents/{escaped}/kick"),
            ):
                for bearer in (token, word):
                    headers = {"Authorization": f"Bearer {bearer}"}
                    answer = await http.request(method, path, headers=headers)
                    assert 400 <= answer.status_code < 500, (what, method, answer.text)


async def _audit(cluster: Cluster) -> str:
    """All of it, as a viewer sees it."""
    token = (cluster.data / "run" / "ops-token").read_text().strip()
    pages, cursor = [], ""
    async with httpx.AsyncClient(
        base_url=cluster.url(), trust_env=False, headers={"Authorization": f"Bearer {token}"}
    ) as http:
        while cursor is not None:
            answer = await http.get(f"/ops/audit?limit=500{cursor and f'&cursor={cursor}'}")
            pages.append(answer.text)
            cursor = answer.json()["next_cursor"]
    return "\n".join(pages)


async def test_no_secret_address_or_email_comes_out_anywhere(
    watched: Cluster, collector: Collector, name: str
) -> None:
    plants = _strangers_words()
    with trio.fail_after(240):
        await _spread(watched, plants)
        await _play(watched, plants, name)
        await _operate(watched, plants)
        audit = await _audit(watched)
    collector.wait_for(lambda spans: any(span.name == "command.result" for span in spans))
    await trio.sleep(2.5)  # For the last spans, and the last lines.
    log = watched.log()
    assert '"command decided"' in log, "this is the debug level"
    assert '"command answered"' in log
    assert plants.found_in(log) == []
    assert "DELETE /ops/tokens/{token_id}" in audit
    assert HIDDEN in audit
    assert plants.found_in(audit) == []
    for role, n in (("gateway", 0), ("shard", 0), ("shard", 1)):
        assert plants.found_in(watched.metrics(role, n)) == []
    assert collector.raw
    assert plants.found_in("\n".join(collector.raw)) == []
    for text in (log, *collector.raw):
        assert CLIENT not in text
