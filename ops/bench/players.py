"""Agents by the hundred in one process: they prove commands at an even pace, and time the acks.

Run as ``python -m ops.bench.players PORT``. The first line of its standard input is a ``Cast``:
all connect. Each further one is a ``Scene`` to be played, and is answered by a line of JSON
(``Report``). It does as little as it can for a frame, with a socket each and one epoll, since on
a machine of two cores the load is part of the figure. What it sees of the world it only counts.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
from collections import deque
from time import monotonic
from typing import Any, NoReturn

import attrs

from common.challenge import Claim, decode_base64url, sign
from common.grid import AgentId, CommandId, SessionId
from common.limits import PIPELINED_CHALLENGE_MS

_TEXT, _PING, _PONG = 0x81, 0x89, 0x8A  # First bytes of frames that are whole messages.
READ_BYTES = 256 * 1024
WORDS = "good day to everybody here"
SEEN = b'{"chunk'  # How frames begin that show the world.
CHALLENGE_SECONDS = PIPELINED_CHALLENGE_MS / 1000 - 2.0
QUIET_SECONDS_MAX = 5.0  # After the last command, for what is still owed.
SETTLE_SECONDS = 0.3  # The same for deltas, which nobody waits for.
OPEN_SECONDS_MAX = 60.0


@attrs.frozen
class Part:
    """One agent. ``spots`` are two cells side by side; it stands on the first."""

    agent: str
    session: str
    secret: str
    token: str
    spots: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 1))


@attrs.frozen
class Cast:
    """``rival``: nobody says ``session_ready``, and a command has no result."""

    path: str
    parts: list[Part]
    rival: bool = False
    together: int = 50
    """How many connect at a time."""


@attrs.frozen
class Scene:
    """``rate`` commands a second, of all together."""

    rate: float
    seconds: float
    two_steps: bool = False


@attrs.define
class Report:
    sent: int = 0
    acks: int = 0
    refused: dict[str, int] = attrs.field(factory=dict)
    results: int = 0
    seen: int = 0
    """Frames that show the world."""
    waits_ms: list[float] = attrs.field(factory=list)
    """From the frame with the proof to the ack, each."""
    late_s: float = 0.0
    """By how much a command was sent later than it was due, at worst."""
    lost: int = 0
    unanswered: int = 0


@attrs.define(eq=False)
class _Player:
    part: Part
    sock: socket.socket
    secret: bytes
    got: bytes = b""
    upgraded: bool = False
    is_open: bool = False
    offered: deque[tuple[float, dict[str, str]]] = attrs.field(factory=deque)
    """Challenges, and until when they may be answered."""
    turn: int = 0
    at: int = 0
    """Which of its two spots it is on."""
    busy: str | None = None
    asked: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    sent_at: dict[str, float] = attrs.field(factory=dict)

    def next_command(self) -> dict[str, Any]:
        """Half are said; the others are steps to and fro and waits of a tick, in turn."""
        self.turn += 1
        if self.turn % 2 or self.busy is not None:
            return {"name": "say", "text": WORDS}
        if self.turn % 4:
            return {"name": "wait", "ticks": 1}
        x, y = self.part.spots[1 - self.at]
        return {"name": "move_to", "x": x, "y": y}

    def offer(self, challenge: dict[str, str]) -> None:
        self.offered.append((monotonic() + CHALLENGE_SECONDS, challenge))

    def challenge(self) -> dict[str, str] | None:
        """Return one that is still good."""
        while self.offered:
            until, challenge = self.offered.popleft()
            if monotonic() < until:
                return challenge
        return None

    def sign(self, id: str, command: dict[str, Any], challenge: dict[str, str]) -> str:
        claim = Claim(
            AgentId(self.part.agent),
            SessionId(self.part.session),
            CommandId(id),
            command,
            challenge["nonce"],
            challenge["expires_at"],
        )
        return sign(self.secret, claim)


@attrs.define(eq=False)
class Players:
    _port: int
    _cast: Cast
    _epoll: select.epoll = attrs.field(factory=lambda: select.epoll(), init=False)
    _players: dict[int, _Player] = attrs.field(factory=dict, init=False)
    _all: list[_Player] = attrs.field(factory=list, init=False)
    _report: Report = attrs.field(factory=Report, init=False)
    _next: int = attrs.field(default=0, init=False)
    _two_steps: bool = attrs.field(default=False, init=False)

    def run(self) -> NoReturn:
        self._connect_all()
        print(json.dumps({"open": len(self._all)}), flush=True)
        self._epoll.register(sys.stdin, select.EPOLLIN)
        while True:
            if self._look(-1):
                line = sys.stdin.readline()
                if not line:
                    sys.exit(0)
                self._play(Scene(**json.loads(line)))

    def _look(self, seconds: float) -> bool:
        """Handle what came; return whether we are spoken to."""
        spoken = False
        for fd, _ in self._epoll.poll(seconds):
            if fd == sys.stdin.fileno():
                spoken = True
            elif fd in self._players:
                self._read(self._players[fd])
        return spoken

    def _connect_all(self) -> None:
        deadline = monotonic() + OPEN_SECONDS_MAX
        parts = self._cast.parts
        for start in range(0, len(parts), self._cast.together):
            some = [self._connect(part) for part in parts[start : start + self._cast.together]]
            while not all(player.is_open for player in some):
                self._look(1.0)
                assert monotonic() < deadline, "they can't come in"
                assert not self._report.lost, "some were turned away"

    def _connect(self, part: Part) -> _Player:
        sock = socket.create_connection(("127.0.0.1", self._port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = (
            f"GET {self._cast.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Authorization: Bearer {part.token}\r\n\r\n"
        )
        sock.sendall(head.encode())
        sock.setblocking(False)
        player = _Player(part, sock, decode_base64url(part.secret))
        self._players[sock.fileno()] = player
        self._all.append(player)
        self._epoll.register(sock, select.EPOLLIN)
        return player

    # One scene

    def _play(self, scene: Scene) -> None:
        self._report = report = Report()
        self._two_steps = scene.two_steps
        began = monotonic()
        total = int(scene.rate * scene.seconds)
        while report.sent < total:
            due = began + report.sent / scene.rate
            late = monotonic() - due
            self._look(max(0.0, -late))  # Also who is late reads what comes.
            if late < 0:
                continue
            report.late_s = max(report.late_s, late)
            self._begin(self._whose_turn())
        end = monotonic() + QUIET_SECONDS_MAX
        while self._owed() and monotonic() < end:
            self._look(0.05)
        report.unanswered = self._owed()
        settled = monotonic() + SETTLE_SECONDS
        while (rest := settled - monotonic()) > 0:
            self._look(rest)
        print(json.dumps(attrs.asdict(report)), flush=True)

    def _owed(self) -> int:
        """Acks and results that are yet to come."""
        results = 0 if self._cast.rival else self._report.acks - self._report.results
        return sum(len(player.sent_at) for player in self._all) + results

    def _whose_turn(self) -> _Player:
        """The next one who waits for no ack; if all do, the next one."""
        assert self._players, "all are lost"
        for _ in range(2 * len(self._all)):
            self._next = (self._next + 1) % len(self._all)
            player = self._all[self._next]
            if player.sock.fileno() in self._players and not player.sent_at:
                break
        return self._all[self._next]

    def _begin(self, player: _Player) -> None:
        self._report.sent += 1
        id, command = f"c-{player.turn}-{len(player.sent_at)}", player.next_command()
        if command["name"] != "say":
            player.busy = id
        request: dict[str, Any] = {"type": "command_req", "id": id, "command": command}
        player.sent_at[id] = monotonic()
        challenge = None if self._two_steps else player.challenge()
        if challenge is None:  # None is at hand, when acks are late.
            player.asked[id] = command
        else:
            signature = player.sign(id, command, challenge)
            request["answer"] = {"nonce": challenge["nonce"], "signature": signature}
        self._say(player, request)

    def _say(self, player: _Player, frame: dict[str, Any]) -> None:
        self._write(player, _TEXT, json.dumps(frame).encode())

    def _write(self, player: _Player, kind: int, data: bytes) -> None:
        """One frame, https://www.rfc-editor.org/rfc/rfc6455#section-5.2, of less than 64 KB."""
        size, mask = len(data), os.urandom(4)
        pad = (mask * (size // 4 + 1))[:size]
        masked = int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        player.sock.sendall(bytes([kind]) + length + mask + masked.to_bytes(size, "big"))

    # What comes back

    def _read(self, player: _Player) -> None:
        try:
            data = player.sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose(player)
            return
        got = player.got + data
        if not player.upgraded:
            head, parted, got = got.partition(b"\r\n\r\n")
            if not parted:
                player.got = head
                return
            if b" 101 " not in head[:16]:
                self._lose(player)
                return
            player.upgraded, player.is_open = True, self._cast.rival
        player.got = self._split(player, got)

    def _split(self, player: _Player, got: bytes) -> bytes:
        """Handle each whole frame; return what is left."""
        at = 0
        while len(got) - at >= 2:
            size, start = got[at + 1], at + 2
            if size >= 126:
                width = 2 if size == 126 else 8
                size, start = int.from_bytes(got[start : start + width], "big"), start + width
            if len(got) < start + size:
                break
            if got[at] == _TEXT:
                self._hear(player, got[start : start + size])
            elif got[at] == _PING:
                self._write(player, _PONG, got[start : start + size])
            at = start + size
        return got[at:]

    def _hear(self, player: _Player, text: bytes) -> None:
        if text.startswith(SEEN):
            self._report.seen += 1
            return
        frame = json.loads(text)
        match frame["type"]:
            case "session_ready":
                player.offer(frame["challenge"])
                player.is_open = True
            case "challenge":
                id = frame["id"]
                signature = player.sign(id, player.asked.pop(id), frame)
                player.sent_at[id] = monotonic()
                answer = {"type": "answer", "id": id, "nonce": frame["nonce"]}
                self._say(player, {**answer, "signature": signature})
            case "ack":
                self._acked(player, frame)
            case "result":
                self._report.results += 1
                self._ended(player, frame["id"])
                spot = (frame["position"]["x"], frame["position"]["y"])
                player.at = 1 if spot == tuple(player.part.spots[1]) else 0
            case other:
                raise AssertionError(f"nobody should say {other}: {frame}")

    def _acked(self, player: _Player, frame: dict[str, Any]) -> None:
        id, report = frame["id"], self._report
        waited = monotonic() - player.sent_at.pop(id)
        if "challenge" in frame:
            player.offer(frame["challenge"])
        if frame["status"] == "accepted":
            report.acks += 1
            report.waits_ms.append(waited * 1000)
            if self._cast.rival:
                self._ended(player, id)
        else:
            report.refused[frame["code"]] = report.refused.get(frame["code"], 0) + 1
            self._ended(player, id)

    def _ended(self, player: _Player, id: str) -> None:
        if player.busy == id:
            player.busy = None

    def _lose(self, player: _Player) -> None:
        self._players.pop(player.sock.fileno(), None)
        player.sock.close()
        self._report.lost += 1


def _cast_of(line: str) -> Cast:
    said = json.loads(line)
    parts = [Part(**part) for part in said.pop("parts")]
    return Cast(parts=parts, **said)


if __name__ == "__main__":
    Players(int(sys.argv[1]), _cast_of(sys.stdin.readline())).run()
