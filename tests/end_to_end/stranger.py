"""A client that somebody else wrote: the protocol by hand, frame by frame, with nothing of ours.

It imports no project code, so that a mistake made twice (in server and reference client) shows.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import attrs
import httpx
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

Frame = dict[str, Any]
Headers = Sequence[tuple[bytes, bytes]]
FRAME_SECONDS_MAX = 15.0


@attrs.define
class Stranger:
    """One connection. ``frames`` keeps all that was received, chunk frames too."""

    socket: WebSocketConnection
    session: Frame
    agent_id: str
    ready: Frame = attrs.field(factory=dict)
    frames: list[Frame] = attrs.field(factory=list)

    async def send(self, frame: Frame | str) -> None:
        await self.socket.send_message(frame if isinstance(frame, str) else json.dumps(frame))

    async def next(self, *types: str) -> Frame:
        """The next frame of one of ``types``; others are passed over (and kept in ``frames``)."""
        with trio.fail_after(FRAME_SECONDS_MAX):
            while True:
                frame = json.loads(await self.socket.get_message())
                self.frames.append(frame)
                if frame["type"] in types:
                    return dict(frame)

    async def next_for(self, id: str, *types: str) -> Frame:
        while True:
            frame = await self.next(*types)
            if frame.get("id") == id:
                return frame

    async def close_code(self) -> int | None:
        """Read until the server closes; return its code."""
        with trio.fail_after(FRAME_SECONDS_MAX):
            try:
                while True:
                    self.frames.append(json.loads(await self.socket.get_message()))
            except ConnectionClosed as closed:
                return closed.reason.code if closed.reason else None

    def sign(self, id: str, command: Frame, challenge: Frame, **changed: Any) -> str:
        claim = {
            "agent_id": self.agent_id,
            "command": command,
            "expires_at": challenge["expires_at"],
            "id": id,
            "nonce": challenge["nonce"],
            "session_id": self.session["session_id"],
            "v": 1,
        } | changed
        # For ASCII keys, integers and plain text this is what RFC 8785 says.
        message = json.dumps(claim, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        secret = base64.urlsafe_b64decode(self.session["challenge_secret"] + "==")
        digest = hmac.new(secret, message.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    async def ask(self, id: str, command: Frame) -> Frame:
        """Two steps: request, challenge, answer; return the ack (or the ack in place of it)."""
        await self.send({"type": "command_req", "id": id, "command": command})
        frame = await self.next_for(id, "challenge", "ack")
        if frame["type"] == "ack":
            return frame
        await self.answer(id, command, frame)
        return await self.next_for(id, "ack")

    async def answer(self, id: str, command: Frame, challenge: Frame, **changed: Any) -> None:
        signature = self.sign(id, command, challenge, **changed)
        frame = {"type": "answer", "id": id, "nonce": challenge["nonce"], "signature": signature}
        await self.send(frame)

    async def ask_at_once(self, id: str, command: Frame, challenge: Frame) -> Frame:
        """One step, with a challenge that was offered before."""
        signature = self.sign(id, command, challenge)
        answer = {"nonce": challenge["nonce"], "signature": signature}
        await self.send({"type": "command_req", "id": id, "command": command, "answer": answer})
        return await self.next_for(id, "ack")


async def post(url: str, path: str, body: Frame, key: str | None = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
        return await http.post(path, json=body, headers=headers)


async def signed_up(url: str, name: str) -> Frame:
    answer = await post(url, "/v1/signup", {"name": name})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def session_of(url: str, api_key: str, scopes: list[str] | None = None) -> Frame:
    body: Frame = {} if scopes is None else {"scopes": scopes}
    answer = await post(url, "/v1/sessions", body, api_key)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


@asynccontextmanager
async def joined(
    url: str, name: str, *, scopes: list[str] | None = None
) -> AsyncIterator[Stranger]:
    """Sign up, open a session, connect, and wait for session_ready."""
    who = await signed_up(url, name)
    session = await session_of(url, who["api_key"], scopes)
    async with connected(url, session, who["agent_id"]) as stranger:
        yield stranger


@asynccontextmanager
async def connected(
    url: str,
    session: Frame,
    agent_id: str,
    query: str = "",
    *,
    headers: Headers = (),
    local_address: str | None = None,
) -> AsyncIterator[Stranger]:
    bearer = f"Bearer {session['session_token']}"
    address = url + session["ws_path"] + query
    async with socket_to(address, bearer, headers=headers, local_address=local_address) as socket:
        stranger = Stranger(socket, session, agent_id)
        stranger.ready = await stranger.next("session_ready")
        yield stranger


@asynccontextmanager
async def socket_to(
    url: str,
    authorization: str = "",
    subprotocols: Sequence[str] = (),
    *,
    headers: Headers = (),
    local_address: str | None = None,
) -> AsyncIterator[WebSocketConnection]:
    """Like trio-websocket's own, but the TCP stream is closed whatever happens."""
    parts = urlsplit(url)
    headers = list(headers)
    if authorization:
        headers.append((b"Authorization", authorization.encode()))
    resource = f"{parts.path}?{parts.query}"
    stream = await trio.open_tcp_stream(
        parts.hostname or "", parts.port or 80, local_address=local_address
    )
    try:
        async with stream, trio.open_nursery() as nursery:
            socket = await wrap_client_stream(
                nursery, stream, parts.netloc, resource,
                subprotocols=list(subprotocols), extra_headers=headers,
            )  # fmt: skip
            yield socket
            with trio.move_on_after(1):
                await socket.aclose()
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
