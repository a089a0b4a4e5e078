"""The challenges of one session that are open: issued, and not yet spent.

Pure: nonces and times are arguments. A challenge is good once; who asks for it by its nonce has
spent it. Whether it came in time, and whether the signature is right, is ``exchange``'s to say.
An expired one is remembered too, so that late can be told from unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from common.challenge import encode_base64url
from common.commands import Command
from common.frames import OfferedChallenge
from common.grid import CommandId
from common.limits import (
    CHALLENGE_MS,
    CHALLENGES_ASKED_MAX,
    CHALLENGES_OFFERED_MAX,
    PIPELINED_CHALLENGE_MS,
)
from common.times import timestamp_of


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
    expires_at: str
    """``until_ms``, as the client was told."""
    asked: Asked | None = None

    @property
    def offered(self) -> OfferedChallenge:
        return OfferedChallenge(self.nonce, self.expires_at)


@attrs.define
class Challenges:
    """Those asked for and those offered, each with a bound; beyond it the oldest is forgotten.

    They are apart, so that neither kind can crowd out the other.
    """

    _asked: dict[str, OpenChallenge] = attrs.field(factory=dict)
    _offered: dict[str, OpenChallenge] = attrs.field(factory=dict)

    def __len__(self) -> int:
        return len(self._asked) + len(self._offered)

    def ask(self, asked: Asked, nonce: bytes, now_ms: int) -> OpenChallenge:
        """Open one for ``asked``, in place of the one that its id may have had."""
        self.drop(asked.id)
        challenge = _opened(nonce, now_ms + CHALLENGE_MS, asked)
        return _add(self._asked, challenge, CHALLENGES_ASKED_MAX)

    def offer(self, nonce: bytes, now_ms: int) -> OpenChallenge:
        """Open one for whatever command comes next."""
        challenge = _opened(nonce, now_ms + PIPELINED_CHALLENGE_MS)
        return _add(self._offered, challenge, CHALLENGES_OFFERED_MAX)

    def of(self, id: CommandId) -> OpenChallenge | None:
        """The open one that was asked for ``id``."""
        for challenge in self._asked.values():
            if challenge.asked is not None and challenge.asked.id == id:
                return challenge
        return None

    def drop(self, id: CommandId) -> None:
        if challenge := self.of(id):
            del self._asked[challenge.nonce]

    def spend(self, nonce: str, id: CommandId | None) -> OpenChallenge | None:
        """Take the one with ``nonce`` that was asked for ``id``, or for no command if None."""
        if id is None:
            return self._offered.pop(nonce, None)
        challenge = self._asked.get(nonce)
        if challenge is None or challenge.asked is None or challenge.asked.id != id:
            return None
        return self._asked.pop(nonce)


def _opened(nonce: bytes, until_ms: int, asked: Asked | None = None) -> OpenChallenge:
    return OpenChallenge(encode_base64url(nonce), until_ms, timestamp_of(until_ms), asked)


def _add(among: dict[str, OpenChallenge], challenge: OpenChallenge, most: int) -> OpenChallenge:
    assert challenge.nonce not in among, "a nonce was drawn twice"
    among[challenge.nonce] = challenge
    if len(among) > most:
        del among[next(iter(among))]
    return challenge
