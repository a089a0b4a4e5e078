"""``tessera ops tokens`` through the API, and ``tessera ops token`` in the database itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ops.command import run, settings_needing
from ops.operate.calling import Work, as_json, calling, data_folder, print_json, say
from ops.parameters import Commands, Number

if TYPE_CHECKING:
    from rich.console import Console

    from ops.operate.api import Api

_DAY_SECONDS = 86_400

_role = click.option("--role", required=True, type=click.Choice(["viewer", "operator", "admin"]))
_label = click.option("--label", default="", help="What a person calls it.")
_days = click.option("--days", type=Number(0.001, 3_660), help="How long it is good.")


@click.group(cls=Commands, invoke_without_command=True)
@click.pass_context
def tokens(context: click.Context) -> None:
    """List operators' tokens, make one, or revoke one."""
    if context.invoked_subcommand is None:
        context.invoke(list_tokens)  # With its options' defaults.


@tokens.command("list")
@as_json
@calling
def list_tokens(as_json: bool) -> Work:
    """List tokens, without their secrets."""

    async def work(api: Api, console: Console) -> None:
        from ops.operate import tables

        answer = await api.get("/ops/tokens")
        if as_json:
            print_json(answer)
        else:
            console.print(tables.tokens(answer["items"]))

    return work


@tokens.command("make")
@_role
@_label
@_days
@calling
def make_token(role: str, label: str, days: float | None) -> Work:
    """Make a token, which is shown this once, as the last word."""
    body: dict[str, Any] = {"role": role, "label": label}
    if days is not None:
        body["expires_in_s"] = round(days * _DAY_SECONDS)

    async def work(api: Api, _console: Console) -> None:
        made = await api.call("POST", "/ops/tokens", body)
        say(f"{made['role']} {made['token']}")

    return work


@tokens.command("revoke")
@click.argument("token")
@calling
def revoke_token(token: str) -> Work:
    """Revoke TOKEN: its id, or the whole of it, which goes no further than here."""
    from common.tokens import Kind, id_in

    id = id_in(Kind.OPERATOR, token)
    if not (id.isascii() and id.isalnum()):
        raise click.BadParameter("it is neither a token's id nor a whole token", param_hint="TOKEN")

    async def work(api: Api, _console: Console) -> None:
        await api.call("DELETE", f"/ops/tokens/{id}")
        say(f"{id} is revoked.")

    return work


@click.command()
@_role
@_label
@_days
@data_folder
def token(role: str, label: str, days: float | None, data: Path) -> None:
    """Make a token in the database itself: the first one. It is the last word that is printed.

    At DATABASE_URL, or else of the tessera up that runs on --data.
    """

    def prepare() -> Callable[[], Awaitable[None]]:
        from datetime import timedelta

        from common.operators import Role
        from ops.operate.made import make_token
        from ops.replay import database_url

        settings = settings_needing()
        url = database_url(settings, data.absolute())
        life = None if days is None else timedelta(days=days)

        async def work() -> None:
            say(f"{role} {await make_token(url, settings.hashing_keys, Role(role), label, life)}")

        return work

    run(prepare)
