"""Wait until each of our processes can do its work, or say why it can't.

The run file says where its private port is, and ``/readyz`` there the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

import httpx
import trio

from common.errors import Misconfigured, Unavailable
from common.limits import START_DEATHS_MAX, START_SECONDS_MAX
from ops.up import run_folder
from ops.up.keeper import Keeper

_ASK_SECONDS = 0.05  # Between two questions to a process that is starting.


async def all_ready(keepers: Sequence[Keeper]) -> None:
    """Return when each says that it is ready.

    Misconfigured when one ended because the operator must mend something; Unavailable when one
    keeps dying, or is not ready after START_SECONDS_MAX.
    """
    async with (
        httpx.AsyncClient(timeout=5, trust_env=False) as client,
        trio.open_nursery() as nursery,
    ):
        for keeper in keepers:
            nursery.start_soon(_one_ready, keeper, client)


async def _one_ready(keeper: Keeper, client: httpx.AsyncClient) -> None:
    answer = "it has not said where it listens"
    with trio.move_on_after(START_SECONDS_MAX):
        while True:
            if keeper.refusal is not None:
                raise Misconfigured(f"{keeper.spec.name}: {keeper.refusal}")
            if keeper.young_deaths >= START_DEATHS_MAX:
                raise Unavailable(
                    f"{keeper.spec.name} can't start; it wrote last: {keeper.last_line}"
                )
            running = run_folder.read(keeper.folder, keeper.spec.role, keeper.spec.n)
            if running is not None and running.metrics_port is not None:
                answer = await _ask_ready(client, running.metrics_port)
                if not answer:
                    return
            await trio.sleep(_ASK_SECONDS)
    raise Unavailable(
        f"{keeper.spec.name} was not ready after {START_SECONDS_MAX:g} s ({answer});"
        " see what it wrote above"
    )


async def _ask_ready(client: httpx.AsyncClient, port: int) -> str:
    """Return "" when it is ready, else what it says."""
    try:
        answer = await client.get(f"http://127.0.0.1:{port}/readyz")
    except httpx.TransportError as error:
        return str(error) or type(error).__name__
    return "" if answer.status_code == 200 else answer.text
