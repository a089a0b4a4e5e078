"""25 chunks full of agents that all move: what a frame costs, and how many there are a second."""

from __future__ import annotations

import statistics

import pytest
from playwright.sync_api import Page

from tests.browser.looking import LIVE_MS_MAX, frames_per_second, look_at
from tests.end_to_end.cluster import Cluster

pytestmark = [pytest.mark.browser, pytest.mark.cluster]

AGENTS_A_CHUNK = 40
SCRIPT_MS_MAX = 8.0  # Half of a frame. Here it was 3.4, with others at work on two cores.

# Heard as from the stream, five times a second: everybody takes a step.
CROWD = """(crowd) => {
    tessera.stream.quietMs = Infinity;
    tessera.stream.source.close();
    const chunks = [...tessera.world.chunks.values()];
    const people = new Map(chunks.map((chunk) => [chunk.id, [...Array(crowd).keys()].map((n) => ({
        id: `agt_${chunk.id}_${n}`, kind: "agent", name: `Agent${n}`,
        x: chunk.cx * 50 + (n * 7) % 50, y: chunk.cy * 50 + (n * 13) % 50,
    }))]));
    for (const { id, generation, tick, terrain } of chunks) {
        const entities = people.get(id);
        tessera.hearing.show({ chunk: id, generation, tick, size: 50, terrain, entities });
    }
    setInterval(() => {
        for (const { id, cx } of chunks) {
            const { tick } = tessera.world.chunks.get(id);
            const events = people.get(id).map((one) => {
                one.x = cx * 50 + (one.x - cx * 50 + 1) % 50;
                return { type: "moved", id: one.id, x: one.x, y: one.y };
            });
            tessera.hearing.delta({ chunk: id, tick: tick + 1, prev_tick: tick, events });
        }
    }, 200);
}"""


STILL = """() => {
    const before = globalThis.paintedBefore;
    globalThis.paintedBefore = tessera.ground.painted;
    return globalThis.paintedBefore === before;
}"""


@pytest.mark.alone
def test_25_chunks_with_a_thousand_walkers_keep_the_screens_pace(
    world: Cluster, page: Page
) -> None:
    look_at(page, world.url())
    page.evaluate("tessera.camera.lookAt(25, 25, 3.4)")
    page.wait_for_function("tessera.world.chunks.size === 25", timeout=LIVE_MS_MAX)
    page.evaluate(CROWD, AGENTS_A_CHUNK)
    page.wait_for_function(f"tessera.world.agents.size >= {25 * AGENTS_A_CHUNK}")
    page.wait_for_function(STILL, polling=1000)  # One chunk is painted a frame.
    painted = page.evaluate("tessera.ground.painted")
    page.evaluate("tessera.paces.length = 0")
    paces = [frames_per_second(page) for _ in range(5)]
    took = sorted(page.evaluate("tessera.paces.filter((pace) => pace !== null)"))
    print(f"script a frame: median {statistics.median(took):.1f} ms,", end=" ")  # noqa: T201
    print(f"p95 {took[int(len(took) * 0.95)]:.1f} ms; frames a second: {paces}")  # noqa: T201
    assert max(paces) > 50, paces  # Best of five: others use this machine too.
    assert statistics.median(took) < SCRIPT_MS_MAX
    assert page.evaluate("tessera.ground.painted") == painted, "ground is painted once"


def test_the_view_grows_and_shrinks_with_the_zoom(world: Cluster, page: Page) -> None:
    look_at(page, world.url())
    for _ in range(12):
        page.locator("#farther").click()
    page.wait_for_function("tessera.world.chunks.size === 25", timeout=LIVE_MS_MAX)
    for _ in range(12):
        page.locator("#nearer").click()
    page.wait_for_function("tessera.world.chunks.size === 9", timeout=LIVE_MS_MAX)
    assert page.evaluate("tessera.breaks.count") == 0
