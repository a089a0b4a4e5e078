"""Following an agent, links that lead to one, and the map of what is awake."""

from __future__ import annotations

import json
import re
import urllib.request

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.looking import LIVE_MS_MAX, look_at, walker
from tests.end_to_end.cluster import Cluster

pytestmark = [pytest.mark.browser, pytest.mark.cluster]

OFF_CENTRE = """(id) => {
    const agent = tessera.world.agents.get(id);
    if (!agent) return Infinity;
    const { x, y } = tessera.world.at(agent, performance.now());
    return Math.hypot(x + 0.5 - tessera.camera.x, y + 0.5 - tessera.camera.y);
}"""


def test_an_agent_is_followed_over_the_borders_of_chunks(world: Cluster, page: Page) -> None:
    with walker(world.url()) as walking:
        look_at(page, world.url())
        page.locator("#people button", has_text=walking.name).click()
        expect(page.locator("#following")).to_contain_text(walking.name)
        page.wait_for_function(f"({OFF_CENTRE})('{walking.agent_id}') < 0.1", timeout=LIVE_MS_MAX)
        page.evaluate(
            """(id) => {
                globalThis.seen = { lost: 0, far: 0, chunks: new Set() };
                setInterval(() => {
                    const agent = tessera.world.agents.get(id);
                    if (!agent) { seen.lost++; return; }
                    seen.chunks.add(agent.chunk);
                    const { x, y } = tessera.world.at(agent, performance.now());
                    const { camera } = tessera;
                    const far = Math.hypot(x + 0.5 - camera.x, y + 0.5 - camera.y);
                    seen.far = Math.max(seen.far, far);
                }, 50);
            }""",
            walking.agent_id,
        )
        walking.walk(70, 25)
        page.wait_for_function("seen.chunks.size > 1", timeout=40_000)
        page.wait_for_function("tessera.stream.chunks.includes('2:0')", timeout=LIVE_MS_MAX)
        page.wait_for_function("tessera.world.chunks.has('2:0')", timeout=LIVE_MS_MAX)
        assert page.evaluate("seen.lost") == 0, "not for a moment, also between two chunks"
        assert page.evaluate("seen.far") < 4, "it stays near the middle"
        assert page.evaluate("tessera.breaks.count") == 0


def test_a_hand_or_escape_stops_following(world: Cluster, page: Page) -> None:
    look_at(page, world.url())
    chip = page.locator("#following")
    for stop in ("drag", "Escape", "button", "ArrowRight"):
        page.locator("#people button", has_text="Opus").click()
        expect(chip).to_be_visible()
        match stop:
            case "drag":
                page.mouse.move(600, 400)
                page.mouse.down()
                page.mouse.move(500, 450, steps=4)
                page.mouse.up()
            case "button":
                page.locator("#unfollow").click()
            case _:
                page.locator("#world").press(stop)
        expect(chip).to_be_hidden()
        assert page.evaluate("tessera.follow.id") is None


def test_a_click_on_an_agent_follows_it(world: Cluster, page: Page) -> None:
    look_at(page, world.url())
    page.wait_for_function("tessera.world.agents.size >= 6", timeout=LIVE_MS_MAX)
    page.evaluate(
        """() => {
            const [agent] = tessera.world.agents.values();
            tessera.camera.lookAt(agent.x, agent.y);
            globalThis.wanted = agent.id;
        }"""
    )
    at = page.evaluate(
        """() => {
            const agent = tessera.world.agents.get(wanted);
            const { x, y } = tessera.world.at(agent, performance.now());
            return tessera.camera.toPixel(x + 0.5, y + 0.5);
        }"""
    )
    page.mouse.click(at["x"], at["y"])
    expect(page.locator("#following")).to_be_visible()
    assert page.evaluate("tessera.follow.id") in page.evaluate("[...tessera.world.agents.keys()]")


def test_a_link_leads_to_the_place_and_the_agent_wherever_that_is(
    world: Cluster, page: Page, browser: Browser
) -> None:
    with walker(world.url()) as walking:
        page.goto(f"{world.url()}/#at=900,-900&zoom=20&agent={walking.agent_id}")
        page.wait_for_function(f"({OFF_CENTRE})('{walking.agent_id}') < 1", timeout=LIVE_MS_MAX)
        expect(page.locator("#following")).to_contain_text(walking.name)
        assert page.evaluate("tessera.camera.scale") == 20
        # The address bar follows, and nothing is added to the way back.
        page.wait_for_function("!location.hash.includes('at=900')", timeout=LIVE_MS_MAX)
        assert page.evaluate("history.length") == 2  # The empty page, and this one.
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.locator("#copy").click()
        expect(page.locator("#copy")).to_have_text("Copied")
        copied = page.evaluate("navigator.clipboard.readText()")
        other = browser.new_context(bypass_csp=True).new_page()
        other.goto(copied)
        other.wait_for_function(f"({OFF_CENTRE})('{walking.agent_id}') < 1", timeout=LIVE_MS_MAX)
        assert other.evaluate("tessera.camera.scale") == 20
        other.context.close()


def test_a_link_to_nobody_says_so_and_one_to_a_place_shows_it(world: Cluster, page: Page) -> None:
    page.goto(f"{world.url()}/#at=-130,60&zoom=12.5&agent=agt_nobody")
    expect(page.locator("#note")).to_have_text("There is no such agent in this world.")
    expect(page.locator("#following")).to_be_hidden()
    expect(page.locator("#place")).to_have_text("chunk -3:1 · -130, 60")
    page.evaluate("location.hash = '#at=210,10&zoom=9'")
    expect(page.locator("#place")).to_have_text("chunk 4:0 · 210, 10")
    assert page.evaluate("tessera.camera.scale") == 9


def test_the_map_shows_what_is_awake_and_leads_there(world: Cluster, page: Page) -> None:
    look_at(page, world.url())
    page.wait_for_function("tessera.minimap.awake.size > 0", timeout=LIVE_MS_MAX)
    with urllib.request.urlopen(f"{world.url()}/v1/chunks") as answer:  # noqa: S310 - our own
        told = json.load(answer)
    assert told["active_chunks"] == len(told["chunks"])
    assert sum(chunk["agents"] for chunk in told["chunks"]) >= 6
    known = page.evaluate("[...tessera.minimap.awake.values()].reduce((sum, n) => sum + n, 0)")
    assert known >= 6
    label = page.locator("#map").get_attribute("aria-label") or ""
    assert re.search(r"chunks? (is|are) awake: ", label)
    assert "are shown" not in label
    painted = page.evaluate(
        """() => {
            const map = document.getElementById("map");
            const { data } = map.getContext("2d").getImageData(0, 0, map.width, map.height);
            return data.filter((value, index) => index % 4 === 3 && value > 0).length;
        }"""
    )
    assert painted > 1000
    page.locator("#map").click(position={"x": 120, "y": 20})
    page.wait_for_function("tessera.camera.x > 100 && tessera.camera.y < -50")
    page.wait_for_function("tessera.world.chunks.has('3:-2')", timeout=LIVE_MS_MAX)


def test_a_map_that_has_not_all_that_is_awake_says_so_and_has_what_the_page_watches(
    world: Cluster, page: Page
) -> None:
    """A shard names its 256 fullest chunks; one in which somebody is seen is awake anyway."""
    told = {"active_chunks": 3_000, "chunks": [{"chunk": "9:9", "agents": 40}]}
    page.route("**/v1/chunks", lambda route: route.fulfill(json=told))
    look_at(page, world.url())
    page.wait_for_function("tessera.world.agents.size >= 6", timeout=LIVE_MS_MAX)
    words = re.compile(r"3,000 chunks are awake, the 1 fullest are shown: 9:9 with 40\.")
    expect(page.locator("#map")).to_have_attribute("aria-label", words)
    expect(page.locator("#map")).to_have_attribute("title", words)
    known = "tessera.minimap.shown().get('{}')"
    assert page.evaluate(known.format("9:9")) == 40
    crowded = "[...tessera.world.chunks.values()].find((chunk) => chunk.members.size)"
    assert page.evaluate(f"tessera.minimap.shown().get({crowded}.id) === {crowded}.members.size")
