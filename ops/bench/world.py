"""``make bench-world``: the targets of the world's engine, measured; exit 1 when one is missed.

Each case has servers, processes and a world of its own making, drawn from one seed. The load comes
from this process; what is measured are the others.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Awaitable, Callable, Mapping

import attrs
import click
import trio_asyncio
from rich.console import Console

from ops.bench import answering, crowding, idling, walking
from ops.bench.outcome import Figure, missed, show
from ops.bench.rig import Rig, a_rig
from ops.command import configure_logs, run

Case = Callable[[Rig], Awaitable[list[Figure]]]


@attrs.frozen
class Sizes:
    """The targets are for these; ``QUICK`` and smaller ones are judged by their share of them."""

    walking: walking.Size = attrs.field(factory=walking.Size)
    answering: answering.Size = attrs.field(factory=answering.Size)
    crowding: crowding.Size = attrs.field(factory=crowding.Size)
    idling: idling.Size = attrs.field(factory=idling.Size)

    def cases(self) -> Mapping[str, Case]:
        return {
            "walking": lambda rig: walking.measure(rig, self.walking),
            "answering": lambda rig: answering.measure(rig, self.answering),
            "crowding": lambda rig: crowding.measure(rig, self.crowding),
            "idling": lambda rig: idling.measure(rig, self.idling),
        }


QUICK = Sizes(
    walking.Size(chunks=100, rate=20, warm_seconds=3, seconds=4),
    answering.Size(agents=20, rate=100, warm_seconds=1, seconds=3),
    crowding.Size(seconds=4),
    idling.Size(chunks=2_000, warm_seconds=2, seconds=3),
)


async def bench(sizes: Sizes, names: tuple[str, ...], console: Console) -> list[Figure]:
    """Run the cases of ``names`` (none: all), show what they found, and return it."""
    cases = sizes.cases()
    figures: list[Figure] = []
    async with trio_asyncio.open_loop():
        for name in names or tuple(cases):
            with console.status(f"{name} ..."):
                async with a_rig() as rig:
                    figures += await cases[name](rig)
    show(figures, console)
    console.print(_machine())
    return figures


def _machine() -> str:
    load = os.getloadavg()[0]
    return (
        f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()};"
        f" load average {load:.1f} at the end"
    )


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("cases", nargs=-1, type=click.Choice(list(Sizes().cases())))
@click.option("--quick", is_flag=True, help="Half a minute, at a tenth of the size.")
@click.option("--report-only", is_flag=True, help="Exit code 0 also when a target is missed.")
def main(cases: tuple[str, ...], quick: bool, report_only: bool) -> None:
    """Measure the CASES (all by default) against the embedded servers, and judge them."""
    figures: list[Figure] = []

    async def work() -> None:
        figures.extend(await bench(QUICK if quick else Sizes(), cases, Console()))

    configure_logs("text", role=None)
    try:
        run(lambda: work)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0 if report_only or (figures and not missed(figures)) else 1)


if __name__ == "__main__":
    main(prog_name="tessera bench world")
