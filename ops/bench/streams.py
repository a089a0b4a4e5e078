"""``make bench-streams``: the targets of the streams, measured; exit 1 when one is missed.

Each case has servers and processes of its own. What is published comes from this process, the
readers are others; FastAPI does the same fan-out in the same run (``rival``), since a figure of
one machine and one day says little by itself.
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

from ops.bench import arriving, fanning, stopping
from ops.bench.outcome import Figure, missed, show
from ops.bench.rig import Rig, a_rig
from ops.command import configure_logs, run

Case = Callable[[Rig], Awaitable[list[Figure]]]


@attrs.frozen
class Sizes:
    """The targets are for these; ``QUICK`` is judged by the same."""

    fanning: fanning.Size = attrs.field(factory=fanning.Size)
    arriving: arriving.Size = attrs.field(factory=arriving.Size)
    stopping: stopping.Size = attrs.field(factory=stopping.Size)

    def cases(self) -> Mapping[str, Case]:
        return {
            "fanning": lambda rig: fanning.measure(rig, self.fanning),
            "arriving": lambda rig: arriving.measure(rig, self.arriving),
            "stopping": lambda rig: stopping.measure(rig, self.stopping),
        }


QUICK = Sizes(
    fanning.Size(readers=(600,), most=1_000, seconds=4, warm_seconds=1),
    arriving.Size(readers=300, within_seconds=0.5),
    stopping.Size(readers=200, stopped=50, fill_seconds=8, seconds=3, rounds=1),
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
    show(figures, console, "tessera: bench streams")
    load = os.getloadavg()[0]
    console.print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()};"
        f" load average {load:.1f} at the end"
    )
    return figures


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("cases", nargs=-1, type=click.Choice(list(Sizes().cases())))
@click.option("--quick", is_flag=True, help="A minute, with fewer readers and less time.")
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
    main(prog_name="tessera bench streams")
