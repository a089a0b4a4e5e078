"""``make bench-world``: the targets of the world's engine, measured; exit 1 when one is missed.

Each case has servers, processes and a world of its own making, drawn from one seed. The load comes
from this process; what is measured are the others.
"""

from __future__ import annotations

import attrs
from rich.console import Console

from ops.bench import answering, crowding, idling, walking
from ops.bench.command import Cases, command_of, measure
from ops.bench.outcome import Figure

TITLE = "bench world"


@attrs.frozen
class Sizes:
    """The targets are for these; ``QUICK`` and smaller ones are judged by their share of them."""

    walking: walking.Size = attrs.field(factory=walking.Size)
    answering: answering.Size = attrs.field(factory=answering.Size)
    crowding: crowding.Size = attrs.field(factory=crowding.Size)
    idling: idling.Size = attrs.field(factory=idling.Size)

    def cases(self) -> Cases:
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
    return await measure(sizes.cases(), names, console, f"tessera: {TITLE}")


if __name__ == "__main__":
    command_of(TITLE, Sizes().cases(), QUICK.cases(), "Half a minute, at a tenth of the size.")()
