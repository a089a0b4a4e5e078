"""``tessera ops mute``, ``kick``, ``ban`` and their like, and ``words``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from ops.operate.calling import Work, calling, say

if TYPE_CHECKING:
    from rich.console import Console

    from ops.operate.api import Api

_AGENT_ID = re.compile(r"agt_[0-9A-Za-z]{16}")


@click.command()
@click.argument("agent")
@click.option(
    "--seconds", default=600, show_default=True, type=click.IntRange(1), help="For how long."
)
@calling
def mute(agent: str, seconds: int) -> Work:
    """Let AGENT (its id, or its name) say nothing for a while."""

    async def work(api: Api, _console: Console) -> None:
        id, called = await _find_agent(api, agent)
        answer = await api.call("POST", f"/ops/agents/{id}/mute", {"seconds": seconds})
        say(f"{called} is muted until {answer['muted_until']}.")

    return work


@click.command()
@click.argument("agent")
@calling
def unmute(agent: str) -> Work:
    """Let AGENT speak again."""
    return _do("DELETE", "mute", agent, "may speak again")


@click.command()
@click.argument("agent")
@calling
def kick(agent: str) -> Work:
    """End the session of AGENT (its id, or its name)."""
    return _do("POST", "kick", agent, "was kicked")


@click.command()
@click.argument("agent")
@calling
def ban(agent: str) -> Work:
    """Kick AGENT, and refuse its keys and sessions from now on."""
    return _do("POST", "ban", agent, "is banned")


@click.command()
@click.argument("agent")
@calling
def unban(agent: str) -> Work:
    """Lift the ban of AGENT."""
    return _do("DELETE", "ban", agent, "is banned no more")


def _do(method: str, what: str, agent: str, done: str) -> Work:
    async def work(api: Api, _console: Console) -> None:
        id, called = await _find_agent(api, agent)
        await api.call(method, f"/ops/agents/{id}/{what}")
        say(f"{called} {done}.")

    return work


async def _find_agent(api: Api, text: str) -> tuple[str, str]:
    """Return the id that ``text`` is, or the agent's of that name; and what to call it.

    What looks like an id is one, and never the name that somebody took to look like it.
    """
    from common.errors import Misconfigured

    if _AGENT_ID.fullmatch(text):
        return text, text
    for item in (await api.get("/ops/agents", name=text, limit=1))["items"]:
        return item["agent_id"], f"{item['name']} ({item['agent_id']})"
    raise Misconfigured(f"there is no agent called {text!r}")


@click.command()
@click.option("--set", "given", multiple=True, help="Ban this word, and only those set with it.")
@click.option("--file", type=click.File(encoding="utf-8"), help="Ban what is in it, one a line.")
@click.option("--clear", is_flag=True, help="Ban no word any more.")
@calling
def words(given: tuple[str, ...], file: Iterable[str] | None, clear: bool) -> Work:
    """Show the banned words, one a line; or replace them."""
    if bool(given) + (file is not None) + clear > 1:
        raise click.UsageError("give --set, --file or --clear, and not two of them")
    banned = [*given, *(line.strip() for line in file or () if line.strip())]

    async def work(api: Api, _console: Console) -> None:
        if given or clear or file is not None:
            answer = await api.call("PUT", "/ops/moderation/words", {"words": banned})
        else:
            answer = await api.get("/ops/moderation/words")
        for word in answer["words"]:
            say(word)

    return work
