"""``tessera ops ...``, ``tessera reshard`` and ``tessera drain``: the operators' API in a terminal.

All of them go through the API with a token, so that they are on record; only ``tessera ops token``
makes one in the database itself. Words in, tables (or ``--json``) out. Here is what is about the
world as a whole; agents and words are in ``moderating``, tokens in ``tokens``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ops.operate.calling import Work, as_json, calling, print_json, say
from ops.operate.moderating import ban, kick, mute, unban, unmute, words
from ops.operate.tokens import token, tokens
from ops.parameters import Commands, Number

if TYPE_CHECKING:
    from rich.console import Console

    from ops.operate.api import Api

_limit = click.option(
    "--limit", default=100, show_default=True, type=click.IntRange(0), help="0: all there is."
)
_wait = click.option(
    "--wait",
    "seconds",
    default=120.0,
    show_default=True,
    type=Number(0, 86_400),
    help="Seconds to watch; what was asked for goes on all the same.",
)


@click.group(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
def ops() -> None:
    """See and change the running world, with an operator's token."""


@click.command()
@click.argument("shard_count", type=click.IntRange(1, 64))
@_wait
@calling
def reshard(shard_count: int, seconds: float) -> Work:
    """Change the number of shards to SHARD_COUNT, and show how it goes until it is done."""

    async def work(api: Api, console: Console) -> None:
        from ops.operate import following

        await following.reshard(api, shard_count, console, seconds)

    return work


@click.command()
@click.argument("slot", type=click.IntRange(0))
@_wait
@calling
def drain(slot: int, seconds: float) -> Work:
    """Have the process that holds SLOT hand over all that it has, and end."""

    async def work(api: Api, console: Console) -> None:
        from ops.operate import following

        await following.drain(api, slot, console, seconds)

    return work


@click.command()
@as_json
@calling
def topology(as_json: bool) -> Work:
    """Show shards and slots, and how they are doing."""

    async def work(api: Api, console: Console) -> None:
        from ops.operate import tables

        answer = await api.get("/ops/topology")
        if as_json:
            print_json(answer)
            return
        wanted = answer["wanted"]
        also = f", {wanted['shard_count']} are wanted (epoch {wanted['epoch']})" if wanted else ""
        say(f"{answer['shard_count']} shards are in force (epoch {answer['epoch']}){also}.")
        console.print(tables.slots(answer))
        console.print()
        console.print(tables.shards(answer))

    return work


@click.command()
@_limit
@as_json
@calling
def chunks(limit: int, as_json: bool) -> Work:
    """List the chunks that live, and who has them."""
    return _list("chunks", limit, as_json)


@click.command()
@click.option("--name", help="Only the one of that name.")
@_limit
@as_json
@calling
def agents(name: str | None, limit: int, as_json: bool) -> Work:
    """List agents, with their mutes and bans."""
    return _list("agents", limit, as_json, name=name)


@click.command()
@click.option("--changes", is_flag=True, help="Without what only looked.")
@_limit
@as_json
@calling
def audit(changes: bool, limit: int, as_json: bool) -> Work:
    """List what operators did, the newest first. --json has the trace ids, too."""
    return _list("audit", limit, as_json, changes="true" if changes else None)


def _list(what: str, limit: int, as_json: bool, **query: str | None) -> Work:
    async def work(api: Api, console: Console) -> None:
        from ops.operate import tables

        items = await api.items(f"/ops/{what}", limit or None, **query)
        if as_json:
            print_json({"items": items})
        else:
            console.print(getattr(tables, what)(items))

    return work


for command in (
    topology, reshard, drain, chunks, agents, audit, mute, unmute, kick, ban, unban, words, tokens,
    token,
):  # fmt: skip
    ops.add_command(command)
