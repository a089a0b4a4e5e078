"""The slider over the last two minutes: what it shows is what was received, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.looking import LIVE_MS_MAX, look_at, wait_until_live
from tests.end_to_end.cluster import Cluster

pytestmark = [pytest.mark.browser, pytest.mark.cluster]

# Before the page's own script: everything that any EventSource hears, with the page's time.
TAP = """
    globalThis.heard = [];
    const Real = EventSource;
    globalThis.EventSource = class extends Real {
        constructor(...more) {
            super(...more);
            for (const name of ["chunk_static", "chunk_delta"]) {
                super.addEventListener(name, (message) => {
                    heard.push([performance.now(), name, message.data]);
                });
            }
        }
    };
"""
SHOWN = """() => ({
    moment: tessera.timebar.moment,
    ticks: Object.fromEntries([...tessera.past.world.chunks.values()].map((c) => [c.id, c.tick])),
    agents: [...tessera.past.world.agents.values()].filter((agent) => !agent.leaves)
        .map(({ id, chunk, name, x, y }) => ({ id, chunk, name, x, y })),
})"""


def test_a_past_moment_is_exactly_what_was_received(world: Cluster, page: Page) -> None:
    page.add_init_script(TAP)
    look_at(page, world.url())
    page.wait_for_timeout(4000)
    page.evaluate("tessera.camera.lookAt(75, 25)")  # Another view, with some of the same chunks.
    page.wait_for_function("tessera.world.chunks.has('2:1')", timeout=LIVE_MS_MAX)
    page.wait_for_timeout(5000)
    shown = []
    for ago in (8.0, 6.5, 5.0, 2.0, 4.0, 1.0, 7.0):  # To and fro.
        page.evaluate(f"tessera.timebar.go(performance.now() - {ago * 1000})")
        page.wait_for_function("tessera.past.moment === tessera.timebar.moment")
        shown.append(page.evaluate(SHOWN))
    heard = page.evaluate("heard")
    for moment in shown:
        assert moment["ticks"], "something was known by then"
        for chunk, tick in moment["ticks"].items():
            assert tick == last_received(heard, chunk, moment["moment"])
        expected = {chunk: folded(heard, chunk, tick) for chunk, tick in moment["ticks"].items()}
        for agent in moment["agents"]:
            place = {key: agent[key] for key in ("name", "x", "y")}
            assert expected[agent["chunk"]][agent["id"]] == place
        seen = {agent["id"] for agent in moment["agents"]}
        everybody = {id for chunk in expected.values() for id in chunk}
        assert everybody == seen


def last_received(heard: list[Any], chunk: str, moment: float) -> int:
    """The tick of the last that had been heard of ``chunk`` at ``moment``."""
    return max(int(data["tick"]) for at, data in messages(heard, chunk) if at <= moment)


def folded(heard: list[Any], chunk: str, upto: int) -> dict[str, dict[str, Any]]:
    """Everybody in ``chunk`` after tick ``upto``, worked out by itself from what was heard."""
    entities: dict[str, dict[str, Any]] = {}
    tick = -1
    for _, data in messages(heard, chunk):
        if data["tick"] > upto or data["tick"] <= tick:
            continue
        tick = data["tick"]
        if "entities" in data:
            entities = {each["id"]: place_of(each) for each in data["entities"]}
        for event in data.get("events", ()):
            match event["type"]:
                case "entered":
                    entities[event["id"]] = place_of(event)
                case "moved":
                    entities[event["id"]].update(x=event["x"], y=event["y"])
                case "left":
                    del entities[event["id"]]
                case _:  # Said something, or failed: nobody is elsewhere for that.
                    pass
    return entities


def messages(heard: list[Any], chunk: str) -> list[tuple[float, dict[str, Any]]]:
    told = [(at, json.loads(data)) for at, _, data in heard]
    return [(at, data) for at, data in told if data["chunk"] == chunk]


def place_of(said: dict[str, Any]) -> dict[str, Any]:
    return {key: said[key] for key in ("name", "x", "y")}


def test_while_one_looks_back_the_present_goes_on(world: Cluster, page: Page) -> None:
    look_at(page, world.url())
    page.wait_for_timeout(2500)
    asked = page.evaluate("performance.now()")
    page.locator("#moment").press("ArrowLeft")
    page.locator("#moment").press("ArrowLeft")
    expect(page.locator("#time")).to_have_attribute("data-past", "true")
    expect(page.locator("#state")).to_have_text("looking back")
    stood, ago, now = page.evaluate(
        """() => {
            tessera.timebar.refresh();
            const ago = document.getElementById("ago").textContent;
            return [tessera.timebar.moment, ago, performance.now()];
        }"""
    )
    assert asked - 2000 <= stood <= now - 2000, "two seconds back from when it was asked"
    assert ago == f"\N{MINUS SIGN}0:{(now - stood) / 1000:02.0f}"
    page.wait_for_function(f"tessera.past.moment === {stood}", timeout=LIVE_MS_MAX)
    ticks = "[...tessera.world.chunks.values()].reduce((sum, chunk) => sum + chunk.tick, 0)"
    before = page.evaluate(ticks)
    page.wait_for_function(f"{ticks} > {before + 5}", timeout=LIVE_MS_MAX)
    assert page.evaluate("tessera.past.moment") == stood, "it stands still"
    page.locator("#play").click()
    page.wait_for_function(f"tessera.past.moment > {stood + 500}", timeout=LIVE_MS_MAX)
    page.locator("#now").click()
    expect(page.locator("#time")).to_have_attribute("data-past", "false")
    wait_until_live(page)


def test_space_stops_time_and_escape_leads_back(world: Cluster, page: Page) -> None:
    look_at(page, world.url())
    page.wait_for_timeout(1500)
    page.locator("#world").press(" ")
    expect(page.locator("#play")).to_have_attribute("aria-label", "Play")
    frames = page.evaluate("tessera.frames()")
    page.wait_for_timeout(1000)
    assert page.evaluate("tessera.frames()") - frames < 5, "what stands still is not drawn again"
    page.locator("#world").press("Escape")
    expect(page.locator("#time")).to_have_attribute("data-past", "false")


def test_going_back_costs_no_call(world: Cluster, page: Page) -> None:
    look_at(page, world.url())
    page.wait_for_timeout(2000)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for _ in range(5):
        page.locator("#moment").press("ArrowLeft")
        page.wait_for_timeout(100)
    page.locator("#moment").press("End")
    assert [url for url in asked if not url.endswith("/v1/chunks")] == []
