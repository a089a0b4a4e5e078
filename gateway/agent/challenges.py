"""The challenges of one session that are open: issued, and not yet spent.

Pure: nonces and times are arguments. A challenge is good once; who asks for it by its nonce has
spent it. Whether it came in time, and whether the signature is right, is ``exchange``'s to say.
An expired one is remembered too, so that late can be told from unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import attrs

from common.challenge import encode_base64url
from common.commands import Command
from common.frames import OfferedChallenge
from common.grid import CommandId
from common.limits import CHALLENGE_MS, CHALLENGES_PER_SESSION_MAX, PIPELINED_CHALLENGE_MS
from common.times import timestamp


@attrs.frozen
class Asked:
    """A command that makes sense: as it was sent (the signature covers that), and understood."""

    id: CommandId
    sent: Mapping[str, Any]
    command: Command


@attrs.frozen
class OpenChallenge:
    """Good until ``until_ms``, for ``asked``, or for any next command when that is None."""

    nonce: str
    until_ms: int
    asked: Asked | None = None

    @property
    def expires_at(self) -> str:
        return timestamp(datetime.fromtimestamp(self.until_ms / 1000, UTC))

    @property
    def offered(self) -> OfferedChallenge:
        return OfferedChallenge(self.nonce, self.expires_at)


@attrs.define
class Challenges:
    """At most CHALLENGES_PER_SESSION_MAX; beyond, the oldest is forgotten."""

    _open: dict[str, OpenChallenge] = attrs.field(factory=dict)

    def ask(self, asked: Asked, nonce: bytes, now_ms: int) -> OpenChallenge:
        """Open one for ``asked``, in place of the one that its id may have had."""
        self.drop(asked.id)
        return self._add(OpenChallenge(encode_base64url(nonce), now_ms + CHALLENGE_MS, asked))

    def offer(self, nonce: bytes, now_ms: int) -> OpenChallenge:
        """Open one for whatever command comes next."""
        until_ms = now_ms + PIPELINED_CHALLENGE_MS
        return self._add(OpenChallenge(encode_base64url(nonce), until_ms))

    def of(self, id: CommandId) -> OpenChallenge | None:
        """The open one that was asked for ``id``."""
        for challenge in self._open.values():
            if challenge.asked is not None and challenge.asked.id == id:
                return challenge
        return None

    def drop(self, id: CommandId) -> None:
        if challenge := self.of(id):
            del self._open[challenge.nonce]

    def spend(self, nonce: str, id: CommandId | None) -> OpenChallenge | None:
        """Take the one with ``nonce`` that was asked for ``id``, or for no command if None."""
        challenge = self._open.get(nonce)
        if challenge is None or (challenge.asked and challenge.asked.id) != id:
            return None
        return self._open.pop(nonce)

    def _add(self, challenge: OpenChallenge) -> OpenChallenge:
        assert challenge.nonce not in self._open, "a nonce was drawn twice"
        self._open[challenge.nonce] = challenge
        if len(self._open) > CHALLENGES_PER_SESSION_MAX:
            del self._open[next(iter(self._open))]
        return challenge
