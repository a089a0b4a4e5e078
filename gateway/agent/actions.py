"""What ``exchange`` asks its shell to do, and what the shell tells it afterwards.

Pure. An action that has an answer names the method of ``Exchange`` that wants it. Actions are
carried out in order, and what follows from one comes before the next.
"""

from __future__ import annotations

from typing import Literal

import attrs

from common.bus import Take
from common.envelopes import CancelOffered, CommandOffered
from common.frames import ServerFrame
from common.grid import CommandId
from common.refusals import CloseCode
from gateway.agent.challenges import Asked
from gateway.agent.hearing import Concluding


@attrs.frozen
class Send:
    """Send ``frame`` to the client."""

    frame: ServerFrame


@attrs.frozen
class Recall:
    """Ask PostgreSQL what was answered to this id, then ``recalled``."""

    frame: Concluding


@attrs.frozen
class TakeTokens:
    """Take ``takes``, then ``granted``."""

    asked: Asked
    takes: tuple[Take, ...]


@attrs.frozen
class OfferCommand:
    """Offer a proven command to its shard, then ``offered``, but not when it is ``again``."""

    message: CommandOffered
    takes: tuple[Take, ...] = ()
    again: bool = False


@attrs.frozen
class OfferCancel:
    """Offer the cancellation; when that is impossible, ``cancel_failed``."""

    message: CancelOffered


@attrs.frozen
class Settle:
    """The command can't be accepted any more: ask PostgreSQL if it was, then ``settled``.

    When PostgreSQL can't be asked, ``unsettled``.
    """

    id: CommandId


@attrs.frozen
class Strike:
    """Count a bad answer; when that started a cooldown, ``cooled_down``."""

    kind: Literal["invalid", "expired"]


@attrs.frozen
class Forgive:
    """Reset the counts of bad answers."""


@attrs.frozen
class FindLines:
    """Lines may be missing: ask for all after the last delivered one, then ``hear_line`` for each.

    Those up to ``upto`` are known to exist.
    """

    upto: int = 0


@attrs.frozen
class End:
    """Say goodbye and close."""

    code: CloseCode
    reason: str


Action = (
    Send
    | Recall
    | TakeTokens
    | OfferCommand
    | OfferCancel
    | Settle
    | Strike
    | Forgive
    | FindLines
    | End
)
