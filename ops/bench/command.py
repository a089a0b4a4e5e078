"""What the bench commands share: run cases one after another, show what they found, and judge it.

It measures nothing itself; each case has servers and processes of its own.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import click
import trio_asyncio
from rich.console import Console

from ops.bench.outcome import Figure, missed, show
from ops.bench.rig import Rig, a_rig
from ops.command import configure_logs, run
from ops.process import cut_short_by_signals

Case = Callable[[Rig], Awaitable[list[Figure]]]
Cases = Mapping[str, Case]


async def measure(cases: Cases, names: Sequence[str], console: Console, title: str) -> list[Figure]:
    """Run the cases of ``names`` (none: all), show what they found, and return it."""
    figures: list[Figure] = []
    async with trio_asyncio.open_loop():
        for name in names or tuple(cases):
            with console.status(f"{name} ..."):
                async with a_rig() as rig:
                    figures += await cases[name](rig)
    show(figures, console, title)
    console.print(_machine())
    return figures


def _machine() -> str:
    load = os.getloadavg()[0]
    return (
        f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()};"
        f" load average {load:.1f} at the end"
    )


def command_of(title: str, full: Cases, quick: Cases, quick_help: str) -> click.Command:
    """Return the command that measures ``full``, or ``quick`` when asked to."""

    @click.command(title, context_settings={"help_option_names": ["-h", "--help"]})
    @click.argument("cases", nargs=-1, type=click.Choice(list(full)))
    @click.option("--quick", "is_quick", is_flag=True, help=quick_help)
    @click.option("--report-only", is_flag=True, help="Exit code 0 also when a target is missed.")
    def main(cases: tuple[str, ...], is_quick: bool, report_only: bool) -> None:
        """Measure the CASES (all by default) against the embedded servers, and judge them."""
        figures: list[Figure] = []

        async def work() -> None:
            chosen = quick if is_quick else full
            figures.extend(await measure(chosen, cases, Console(), f"tessera: {title}"))

        configure_logs("text", role=None)
        run(lambda: partial(cut_short_by_signals, work))
        sys.exit(0 if report_only or (figures and not missed(figures)) else 1)

    return main
