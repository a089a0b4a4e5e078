"""``make bench-streams``: the targets of the streams, measured; exit 1 when one is missed.

Each case has servers and processes of its own. What is published comes from this process, the
readers are others; FastAPI does the same fan-out in the same run (``rival``), since a figure of
one machine and one day says little by itself.
"""

from __future__ import annotations

import attrs
from rich.console import Console

from ops.bench import arriving, fanning, replaying, stopping
from ops.bench.command import Cases, command_of, measure
from ops.bench.outcome import Figure

TITLE = "bench streams"


@attrs.frozen
class Sizes:
    """The targets are for these; ``QUICK`` is judged by the same."""

    fanning: fanning.Size = attrs.field(factory=fanning.Size)
    arriving: arriving.Size = attrs.field(factory=arriving.Size)
    stopping: stopping.Size = attrs.field(factory=stopping.Size)
    replaying: replaying.Size = attrs.field(factory=replaying.Size)

    def cases(self) -> Cases:
        return {
            "fanning": lambda rig: fanning.measure(rig, self.fanning),
            "arriving": lambda rig: arriving.measure(rig, self.arriving),
            "stopping": lambda rig: stopping.measure(rig, self.stopping),
            "replaying": lambda rig: replaying.measure(rig, self.replaying),
        }


QUICK = Sizes(
    fanning.Size(readers=(600,), most=1_000, frames=100, seconds=4, warm_seconds=1),
    arriving.Size(readers=300, within_seconds=0.5, chunks=20, window_seconds=3, turns=1),
    stopping.Size(readers=150, stopped=50, seconds=3, turns=2, stand_seconds=15),
    replaying.Size(times=50, view_times=3),
)


async def bench(sizes: Sizes, names: tuple[str, ...], console: Console) -> list[Figure]:
    """Run the cases of ``names`` (none: all), show what they found, and return it."""
    return await measure(sizes.cases(), names, console, f"tessera: {TITLE}")


if __name__ == "__main__":
    command_of(
        TITLE, Sizes().cases(), QUICK.cases(), "A minute, with fewer readers and less time."
    )()
