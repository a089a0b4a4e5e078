"""What this gateway refuses agents to say: as much of it as PostgreSQL has told.

``Moderator`` decides, and waits for nothing; ``keep_told`` tells it of changes within
MODERATION_SECONDS. While PostgreSQL is away what was told last holds.
"""

from __future__ import annotations

import math
from typing import Literal, NoReturn

import attrs
import structlog
import trio

from common.errors import Trouble
from common.grid import AgentId
from common.limits import MODERATION_SECONDS, POSTGRES_SECONDS_MAX
from common.moderation import BannedWords, banned
from common.operators import Moderation
from gateway.ports import Operators

_log = structlog.get_logger(__name__)


@attrs.frozen
class Gag:
    """Why something may not be said; ``retry_after_ms`` when that passes."""

    code: Literal["muted", "moderated"]
    retry_after_ms: int | None = None


@attrs.define(eq=False)
class Moderator:
    """Nothing is refused until it is told otherwise."""

    known: Moderation = attrs.field(factory=Moderation, init=False)
    _words: BannedWords = attrs.field(factory=BannedWords, init=False)

    def hear(self, moderation: Moderation) -> None:
        if moderation.version > self.known.version:  # Answers may overtake one another.
            self.known, self._words = moderation, banned(moderation.words)

    def gag(self, agent: AgentId, text: str, now_ms: int) -> Gag | None:
        """Why ``agent`` may not say ``text`` now."""
        until = self.known.muted.get(agent)
        if until is not None and (wait_ms := math.ceil(until.timestamp() * 1000) - now_ms) > 0:
            return Gag("muted", wait_ms)
        return Gag("moderated") if self._words.are_in(text) else None


async def look(moderator: Moderator, operators: Operators) -> None:
    """Tell ``moderator`` what holds now. May raise Trouble."""
    try:
        with trio.fail_after(POSTGRES_SECONDS_MAX):
            changed = await operators.moderation(moderator.known.version)
    except trio.TooSlowError:
        return  # The next look is as good.
    if changed is not None:
        moderator.hear(changed)


async def keep_told(
    moderator: Moderator,
    operators: Operators,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Look again and again until cancelled; started once PostgreSQL has answered."""
    is_told, was_away = False, False
    while True:
        try:
            await look(moderator, operators)
        except Trouble as trouble:
            if not was_away:
                _log.warning("cannot ask what agents may not say", trouble=str(trouble))
            was_away = True
        else:
            was_away = False
            if not is_told:
                is_told = True
                task_status.started()
        await trio.sleep(MODERATION_SECONDS)
