"""Once an hour: let PostgreSQL forget what nobody can ask for any more.

Every shard does it for all. It is not urgent: what fails waits for the next hour.
"""

from __future__ import annotations

import structlog
import trio

from common.errors import Trouble
from common.limits import PRUNE_SECONDS, PRUNE_SECONDS_MAX
from shard.patience import bounded
from shard.ports import Journal

_log = structlog.get_logger()


async def prune(journal: Journal) -> None:
    """Prune each PRUNE_SECONDS, until cancelled."""
    while True:
        await trio.sleep(PRUNE_SECONDS)
        try:
            rows = await bounded(PRUNE_SECONDS_MAX, journal.prune)
            _log.info("pruned", rows=rows)
        except Trouble as trouble:
            _log.warning("could not prune", trouble=str(trouble))
