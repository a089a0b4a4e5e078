"""The console script ``tessera``: reads words, and hands over to who does the work.

Imports that cost time wait until a command needs them, so that ``--help`` is quick.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import click

from ops.command import (
    Format,
    chosen_format,
    configure_logs,
    run,
    settings_needing,
    unique_name,
)
from ops.early import end_in_order, give_up_quietly
from ops.operate.commands import drain, ops, reshard
from ops.parameters import Chunk, Commands, FileToWrite, GatewayUrl, Number

_log_format = click.option(
    "--log-format",
    type=click.Choice(["json", "text"]),
    help="How to write logs. TESSERA_LOG_FORMAT is the same.",
)
_number = click.option("--number", default=0, hidden=True, help="Which of its role this one is.")
_run_folder = click.option(
    "--run-folder", type=click.Path(path_type=Path), hidden=True, help="Where to say so."
)
_name = click.option("--name", help="Unique among all processes; made up by default.")
_metrics_host = click.option(
    "--metrics-host", default="127.0.0.1", show_default=True, help="0.0.0.0: for everybody."
)
_metrics_port = click.option(
    "--metrics-port", default=0, show_default="any free port", type=click.IntRange(0, 65_535)
)


@click.group(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="tessera", message="%(prog)s %(version)s")
def main() -> None:
    """Tessera: a persistent, shared grid world that AI agents live in, in real time."""


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0: for everybody.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65_535))
@click.option(
    "--gateways", default=1, show_default=True, type=click.IntRange(1, 64), help="On port, port+1."
)
@click.option("--shards", default=2, show_default=True, type=click.IntRange(1, 64))
@click.option(
    "--spares", default=0, show_default=True, type=click.IntRange(0, 64), help="More shards, idle."
)
@click.option(
    "--bots", default=8, show_default=True, type=click.IntRange(0, 1000), help="Demo agents."
)
@click.option(
    "--data",
    default=Path(".data"),
    show_default=True,
    type=click.Path(path_type=Path),
    help="The folder in which everything is kept.",
)
@_log_format
def up(
    host: str,
    port: int,
    gateways: int,
    shards: int,
    spares: int,
    bots: int,
    data: Path,
    log_format: Format | None,
) -> None:
    """Run the whole world on this machine, until Ctrl-C.

    PostgreSQL and Valkey are started too, unless DATABASE_URL and REDIS_URL name others.
    """

    def prepare() -> Callable[[], Awaitable[None]]:
        from ops.up.plan import Plan
        from ops.up.screen import Screen
        from ops.up.supervisor import up

        settings = settings_needing()
        format = log_format or chosen_format(settings) or "text"
        configure_logs(format, None, settings.log_level)
        if settings.tls_cert is not None:
            from common.errors import Misconfigured

            # Its bots and what looks after it speak to 127.0.0.1, which no certificate is for.
            raise Misconfigured("TESSERA_TLS_CERT is for a tessera gateway by itself; unset it")
        plan = Plan(host, port, gateways, shards, bots, data.absolute(), format, spares)
        return partial(up, plan, settings, Screen(format))

    run(prepare)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65_535))
@_metrics_host
@_metrics_port
@_name
@_number
@_run_folder
@_log_format
def gateway(
    host: str,
    port: int,
    metrics_host: str,
    metrics_port: int,
    name: str | None,
    number: int,
    run_folder: Path | None,
    log_format: Format | None,
) -> None:
    """Run one gateway. Needs DATABASE_URL and REDIS_URL."""

    def prepare() -> Callable[[], Awaitable[None]]:
        from ops.process import Listening, Place, serve_gateway

        settings = settings_needing("DATABASE_URL", "REDIS_URL")
        format = log_format or chosen_format(settings)
        configure_logs(format, f"gateway-{number}", settings.log_level)
        return partial(
            serve_gateway,
            settings,
            Place(number, run_folder),
            host=host,
            port=port,
            private=Listening(metrics_host, metrics_port),
            name=name or unique_name("gateway"),
        )

    run(prepare)


@main.command()
@_metrics_host
@_metrics_port
@_name
@_number
@_run_folder
@_log_format
def shard(
    metrics_host: str,
    metrics_port: int,
    name: str | None,
    number: int,
    run_folder: Path | None,
    log_format: Format | None,
) -> None:
    """Run one shard. Needs DATABASE_URL and REDIS_URL."""

    def prepare() -> Callable[[], Awaitable[None]]:
        from ops.process import Listening, Place, serve_shard

        settings = settings_needing("DATABASE_URL", "REDIS_URL")
        format = log_format or chosen_format(settings)
        configure_logs(format, f"shard-{number}", settings.log_level)
        place = Place(number, run_folder)
        holder = name or unique_name("shard")
        private = Listening(metrics_host, metrics_port)
        return partial(serve_shard, settings, place, private=private, name=holder)

    run(prepare)


@main.command()
@click.option("--shards", type=click.IntRange(1, 64), help="Set the number of shards, too.")
def migrate(shards: int | None) -> None:
    """Bring the database at DATABASE_URL to what this version expects."""

    async def work() -> None:
        from ops.migrate import migrate, set_shard_count

        url = settings_needing("DATABASE_URL").database_url
        assert url is not None
        names = await migrate(url)
        print("\n".join(names) if names else "Nothing to do: the database is up to date.")
        if shards is not None:
            await set_shard_count(url, shards)
            print(f"The world has {shards} shards.")

    run(lambda: work)


@main.command()
@click.option("--shards", required=True, type=click.IntRange(1, 64))
def topology(shards: int) -> None:
    """Ask for that many shards in the world at DATABASE_URL, which may be running.

    They are there as soon as somebody holds each slot; a process may hold several.
    """

    async def work() -> None:
        from ops.migrate import ask_shard_count

        url = settings_needing("DATABASE_URL").database_url
        assert url is not None
        asked = await ask_shard_count(url, shards)
        print(f"Asked for {asked.shard_count} shards (epoch {asked.epoch}).")

    run(lambda: work)


@main.command()
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, type=GatewayUrl())
@click.option("--count", default=8, show_default=True, type=click.IntRange(1, 1000))
@click.option(
    "--keys",
    default=Path(".data/bots/keys.json"),
    show_default=True,
    type=FileToWrite(makes_folders=True),
    help="Where they keep their API keys.",
)
@_log_format
def bots(url: str, count: int, keys: Path, log_format: Format | None) -> None:
    """Let demo agents walk through the world at URL."""

    def prepare() -> Callable[[], Awaitable[None]]:
        from ops.process import serve_bots

        configure_logs(log_format or chosen_format(settings_needing()), role="bots")
        return partial(serve_bots, url, count, keys)

    run(prepare)


@main.command()
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, type=GatewayUrl())
@click.argument("chunk", default="0:0", type=Chunk())
def watch(url: str, chunk: str) -> None:
    """Show the CHUNK (0:0 by default) of the world at URL in the terminal, until Ctrl-C."""

    async def work() -> None:
        from rich.console import Console

        from common.grid import ChunkId
        from ops.process import until_told
        from ops.watch import watch

        async with until_told() as stop:
            await watch(url, ChunkId(chunk), Console(), stop)

    run(lambda: work)


@main.command()
@click.option("--chunk", default="0:0", show_default=True, type=Chunk())
@click.option("--at-tick", type=click.IntRange(0), help="The last one that is known of by default.")
@click.option("--data", default=Path(".data"), show_default=True, type=click.Path(path_type=Path))
@click.option("--png", type=FileToWrite(), help="Draw that tick into this file.")
@click.option("--gif", type=FileToWrite(), help="Draw the minute before it, too.")
def replay(chunk: str, at_tick: int | None, data: Path, png: Path | None, gif: Path | None) -> None:
    """Rebuild a chunk from its snapshots and journal, and compare it with what was stored.

    Reads from DATABASE_URL, or else from the tessera up that runs on --data. Ends with 1 when
    something differs.
    """
    same = True

    def prepare() -> Callable[[], Awaitable[None]]:
        from rich.console import Console

        from common.grid import ChunkId, Tick
        from ops.replay import Wish, database_url, replay

        wish = Wish(ChunkId(chunk), None if at_tick is None else Tick(at_tick), png, gif)
        url = database_url(settings_needing(), data.absolute())

        async def work() -> None:
            nonlocal same
            same = await replay(url, wish, Console())

        return work

    run(prepare)
    sys.exit(0 if same else 1)


@main.command()
@click.option("--minutes", default=1.0, show_default=True, type=Number(0.1, 1440))
@click.option("--seed", default=1, show_default=True, help="What is done, and when.")
@click.option("--agents", default=60, show_default=True, type=click.IntRange(1, 1000))
@click.option(
    "--rate",
    default=200.0,
    show_default=True,
    type=Number(0.1, 10_000),
    help="Commands a second, all agents together.",
)
@click.option(
    "--reconnects",
    default=0,
    show_default=True,
    type=click.IntRange(0, 100_000),
    help="Instead: cut so many connections by force, and end gateways meanwhile.",
)
@click.option(
    "--reshard", is_flag=True, help="Instead: change the shards 2 to 4 to 3 to 8 to 1, and back."
)
@click.option("--roll", is_flag=True, help="Instead: replace every process in turn.")
@click.option("--keep", is_flag=True, help="Keep data and logs although nothing was wrong.")
def chaos(
    minutes: float,
    seed: int,
    agents: int,
    rate: float,
    reconnects: int,
    reshard: bool,
    roll: bool,
    keep: bool,
) -> None:
    """Kill and pause the processes of a world of its own, and check every promise.

    Two gateways, two shards and a spare in a temporary folder. Exit code 1: one was broken.
    """
    is_kept = False

    def prepare() -> Callable[[], Awaitable[None]]:
        from rich.console import Console

        from ops.chaos.reconnects import RECORDERS, reconnect
        from ops.chaos.run import RESHARDINGS, Order, chaos
        from ops.process import cut_short_by_signals

        counts = RESHARDINGS if reshard else ()
        order = Order(seed, minutes * 60, agents, rate, keep=keep, reshard=counts, roll=roll)

        async def work() -> None:
            nonlocal is_kept
            if reconnects:
                is_kept = await reconnect(order, reconnects, RECORDERS, Console())
            else:
                is_kept = await chaos(order, Console())

        return partial(cut_short_by_signals, work)

    configure_logs("text", role=None)
    run(prepare)
    sys.exit(0 if is_kept else 1)


@main.command()
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65_535))
@click.option("--data", default=Path(".data"), show_default=True, type=click.Path(path_type=Path))
def doctor(port: int, data: Path) -> None:
    """Check the environment, and say what is wrong and what to do about it."""

    from ops.doctor import examine

    healthy = examine(os.environ, port, data.absolute())
    sys.exit(0 if healthy else 1)


@main.command()
@click.option("--seed", type=int, help="Decides everything; 0 if --seeds is not given either.")
@click.option("--seeds", help="Many, on all cores: 0..10000 is from 0 to 9999.")
@click.option("--minutes", default=1.0, show_default=True, type=Number(0.05, 10_000))
@click.option("--gateways", default=2, show_default=True, type=click.IntRange(1, 16))
@click.option("--shards", default=3, show_default=True, type=click.IntRange(1, 16))
@click.option("--agents", default=50, show_default=True, type=click.IntRange(1, 1000))
@click.option("--spectators", default=4, show_default=True, type=click.IntRange(0, 100))
@click.option(
    "--faults", default="all", show_default=True, help="all, none, or names with commas between."
)
@click.option(
    "--reconnects",
    default=0,
    show_default=True,
    type=click.IntRange(0, 1_000_000),
    help="Cut so many connections by force, instead of --minutes.",
)
@click.option("--verbose", is_flag=True, help="Show the last things that anybody was told.")
def simulate(
    seed: int | None,
    seeds: str | None,
    minutes: float,
    gateways: int,
    shards: int,
    agents: int,
    spectators: int,
    faults: str,
    reconnects: int,
    verbose: bool,
) -> None:
    """Run a whole cluster in one process by SEED, with faults, and check every promise.

    The same seed gives the same run, on any machine.
    """
    from rich.console import Console

    from ops.simulate.plan import Fault, Plan, faults_named
    from ops.simulate.seeds import run_all, run_one, seeds_named

    if seed is not None and seeds is not None:
        raise click.UsageError("give --seed or --seeds, not both")
    try:
        named = faults_named(faults)
    except ValueError:
        known = ", ".join(Fault)
        raise click.BadParameter(
            f"{faults!r} is not all, none, or some of {known}", param_hint="--faults"
        ) from None
    plan = Plan(seed or 0, minutes, gateways, shards, agents, spectators, named, reconnects)
    console = Console()
    if seeds is None:
        give_up_quietly()  # KeyboardInterrupt would be one more fault of one of the processes.
        sys.exit(0 if run_one(plan, console, verbose=verbose) else 1)
    try:
        many = seeds_named(seeds)
    except ValueError:
        raise click.BadParameter(
            f"{seeds!r} is no range of seeds, write 0..10000", param_hint="--seeds"
        ) from None
    end_in_order()  # The workers would go on by themselves.
    plans = [plan.with_seed(each) for each in many]
    sys.exit(0 if run_all(plans, console) else 1)


for command in (ops, reshard, drain):
    main.add_command(command)


if __name__ == "__main__":  # As ``python -m ops``, but deaf to signals while it imports.
    main(prog_name="tessera")
