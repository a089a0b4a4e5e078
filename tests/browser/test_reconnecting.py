"""The viewer through a gateway restart: nothing flickers, nothing jumps, and what broke is said."""

from __future__ import annotations

import re
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.freezing import a_way_to
from tests.browser.looking import LIVE_MS_MAX, look_at, wait_until_live
from tests.end_to_end.cluster import Cluster, tessera_up

pytestmark = [pytest.mark.browser, pytest.mark.cluster]

BOTS = 4
TICK_MS, GLIDE_MS, CATCH_UP_MS_MAX, CELLS_A_GLIDE = 200, 230, 900, 4  # See ``world.js``.
# Every 30 ms: what is on the canvas, where everybody is drawn, and where the camera is.
RECORD = """() => {
    const record = globalThis.record = [];
    const spots = [...Array(24).keys()].map((n) => [40 + n % 6 * 150, 90 + (n - n % 6) * 25]);
    setInterval(() => {
        const now = performance.now();
        const { world, camera, ground } = tessera;
        const colours = spots.map((spot) => ground.pen.getImageData(...spot, 1, 1).data.join(" "));
        const drawn = [...world.agents.values()].map((agent) => {
            const { x, y } = world.at(agent, now);
            return [agent.id, x, y];
        });
        record.push({
            now, colours: colours.join(), drawn, chunks: world.chunks.size,
            state: document.getElementById("state").textContent,
            view: [camera.x, camera.y, camera.scale].join(),
        });
    }, 30);
}"""

AROUND = [f"{x}:{y}" for x in (-1, 0, 1) for y in (-1, 0, 1)]
CONNECTING, OPEN = 0, 1  # An EventSource's ``readyState``; 2 is closed, for good.
BARE = """(address) => {
    const source = globalThis.source = new EventSource(address);
    const [heard, states] = [globalThis.heard, globalThis.states] = [[], []];
    globalThis.moved = [];  // Deltas since each time that it was opened.
    source.onopen = () => { states.push(source.readyState); moved.push(0); };
    source.onerror = () => states.push(source.readyState);
    for (const name of ["session_ready", "chunk_static", "chunk_delta", "resync"]) {
        source.addEventListener(name, ({ data }) => {
            const { type, chunk, tick, prev_tick, resumed } = JSON.parse(data);
            heard.push({ type, chunk, tick, prev_tick, resumed: Boolean(resumed) });
            if (type === "chunk_delta") moved[moved.length - 1]++;
        });
    }
}"""
MOVED_ON = "(times) => moved.length === times && moved[times - 1] >= 10"


def test_a_gateway_restart_is_seen_in_the_state_line_and_nowhere_else(
    data: Path, page: Page
) -> None:
    with tessera_up(data, bots=BOTS) as cluster:
        look_at(page, cluster.url())
        page.wait_for_function(f"tessera.world.agents.size === {BOTS}", timeout=LIVE_MS_MAX)
        page.wait_for_timeout(1000)  # The ground has faded in.
        page.evaluate(RECORD)
        opened = page.evaluate("tessera.stream.opened")
        cluster.kill("gateway", 0)
        expect(page.locator("#state")).to_have_text("reconnecting", timeout=5_000)
        wait_until_live(page)
        expect(page.locator("#note")).to_contain_text("nothing missed", timeout=5_000)
        moved = "[...tessera.world.agents.values()].some((agent) => agent.since > {})"
        back = page.evaluate("performance.now()")
        page.wait_for_function(moved.format(back), timeout=LIVE_MS_MAX)
        page.wait_for_timeout(1500)
        record: list[dict[str, Any]] = page.evaluate("record")
        assert page.evaluate("tessera.breaks.count") == 0, "it was resumed, not shown anew"
        assert page.evaluate("tessera.stream.opened") == opened, "the browser did that by itself"
    assert {"live", "reconnecting"} <= {sample["state"] for sample in record}
    assert {sample["chunks"] for sample in record} == {9}
    assert len({sample["view"] for sample in record}) == 1, "the camera stays where it is"
    assert len({sample["colours"] for sample in record}) == 1, "the ground stays as it is"
    assert {len(sample["drawn"]) for sample in record} == {BOTS}, "nobody blinks"
    assert worst_jump(record) < 0.6


def test_a_browsers_own_event_source_goes_on_through_every_end_of_its_gateway(
    data: Path, page: Page
) -> None:
    with tessera_up(data, bots=BOTS) as cluster:
        page.goto(f"{cluster.url()}/healthz")  # A page without a script of ours.
        page.evaluate(BARE, f"/v1/spectate?chunks={','.join(AROUND)}")
        page.wait_for_function(MOVED_ON, arg=1, timeout=LIVE_MS_MAX)
        for number, how in enumerate((signal.SIGTERM, signal.SIGKILL), start=2):
            cluster.kill("gateway", 0, how)
            page.wait_for_function(MOVED_ON, arg=number, timeout=LIVE_MS_MAX)
        heard: list[dict[str, Any]] = page.evaluate("heard")
        states = page.evaluate("states")
    assert states.count(OPEN) == 3
    assert set(states) == {OPEN, CONNECTING}, "it never gave up"
    ready = [frame["resumed"] for frame in heard if frame["type"] == "session_ready"]
    assert ready == [False, True, True]
    assert "resync" not in {frame["type"] for frame in heard}
    for chunk in AROUND:
        first, *deltas = [frame for frame in heard if frame.get("chunk") == chunk]
        assert first["type"] == "chunk_static"
        assert {delta["type"] for delta in deltas} <= {"chunk_delta"}, "nothing is shown anew"
        assert all(delta["prev_tick"] <= first["tick"] < delta["tick"] for delta in deltas[:1])
        assert all(after["prev_tick"] == before["tick"] for before, after in pairwise(deltas))


def worst_jump(record: list[dict[str, Any]]) -> float:
    """By how many cells anybody moved farther, between two samples, than gliding explains.

    Four cells take 230 ms, and so on up to 900 ms; then whoever missed more hurries more.
    """
    away = [sample["now"] for sample in record if sample["state"] == "reconnecting"]
    missed = (away[-1] - away[0]) / TICK_MS + 2 * CELLS_A_GLIDE
    pace = max(CELLS_A_GLIDE / GLIDE_MS, missed / CATCH_UP_MS_MAX)
    worst = 0.0
    for before, after in pairwise(record):
        places = {id: (x, y) for id, x, y in before["drawn"]}
        glide = pace * (after["now"] - before["now"])
        for id, x, y in after["drawn"]:
            was_x, was_y = places[id]
            worst = max(worst, abs(x - was_x) + abs(y - was_y) - glide)
    return worst


def test_what_is_shown_anew_is_said_with_the_time_and_marked(world: Cluster, page: Page) -> None:
    look_at(page, world.url())
    page.wait_for_function("tessera.world.agents.size >= 6", timeout=LIVE_MS_MAX)
    agents = page.evaluate("tessera.world.agents.size")
    page.evaluate(
        """() => {
            tessera.stream.position = "nobody knows";
            tessera.stream.watch(tessera.stream.chunks);
        }"""
    )
    expect(page.locator("#note")).to_have_text("Shown anew: 9 chunks around 0:0")
    line = page.locator("#said li.note").first
    expect(line).to_contain_text("Shown anew: 9 chunks around 0:0")
    expect(line.locator("time")).to_have_text(re.compile(r"\d\d:\d\d:\d\d"))
    expect(page.locator("#marks i")).to_have_count(1)
    assert page.evaluate("tessera.breaks.count") == 9
    assert page.evaluate("tessera.world.agents.size") == agents
    expect(page.locator("#state")).to_have_text("live")


def test_a_gap_is_noticed_and_mended_and_said(world: Cluster, page: Page) -> None:
    look_at(page, world.url())
    opened = page.evaluate("tessera.stream.opened")
    page.evaluate(
        """() => {
            const { tick } = tessera.world.chunks.get("0:0");
            const delta = { chunk: "0:0", tick: tick + 9, prev_tick: tick + 8, events: [] };
            tessera.hearing.delta(delta);
            tessera.hearing.delta({ ...delta, tick: tick + 10, prev_tick: tick + 9 });
        }"""
    )
    expect(page.locator("#note")).to_have_text("Shown anew: chunk 0:0")
    assert page.evaluate("tessera.stream.opened") == opened + 1, "once, however much is missing"
    page.wait_for_function("!tessera.stream.isBeginning", timeout=LIVE_MS_MAX)
    wait_until_live(page)


def test_another_view_is_opened_before_the_old_one_is_closed(world: Cluster, page: Page) -> None:
    look_at(page, world.url())
    page.evaluate(
        """() => {
            const first = tessera.stream.source;
            globalThis.ended = [];
            first.close = () => {
                ended.push([first.readyState, tessera.stream.next?.readyState]);
                EventSource.prototype.close.call(first);
            };
            globalThis.whole = [];
            const { show } = tessera.hearing;
            tessera.hearing.show = (chunk) => { whole.push(chunk.chunk); show(chunk); };
            globalThis.sizes = new Set();
            setInterval(() => sizes.add(tessera.world.chunks.size), 10);
            tessera.camera.lookAt(75, 25);
        }"""
    )
    page.wait_for_function("tessera.world.chunks.has('2:1')", timeout=LIVE_MS_MAX)
    assert page.evaluate("ended") == [[1, 1]], "both are open when the old one is let go"
    assert min(page.evaluate("[...sizes]")) >= 6, "what both views have stays"
    page.wait_for_function("whole.length >= 3", timeout=LIVE_MS_MAX)
    assert set(page.evaluate("whole")) == {"2:-1", "2:0", "2:1"}, "the others just go on"
    assert page.evaluate("[...tessera.world.chunks.keys()].sort().join(' ')") == " ".join(
        sorted(f"{x}:{y}" for x in range(3) for y in range(-1, 2))
    )
    assert page.evaluate("tessera.breaks.count") == 0


def test_a_connection_that_falls_silent_is_replaced_and_nothing_is_missed(
    world: Cluster, page: Page
) -> None:
    with a_way_to(world.port) as way:
        look_at(page, way.url)
        page.evaluate("Object.assign(tessera.stream, { quietMs: 1500, answerMs: 1500 })")
        page.wait_for_function("tessera.world.isStirring(performance.now())", timeout=LIVE_MS_MAX)
        opened = page.evaluate("tessera.stream.opened")
        way.freeze()
        frozen = page.evaluate("performance.now()")
        moved = "[...tessera.world.agents.values()].some((agent) => agent.since > {})"
        page.wait_for_function(moved.format(frozen + 1500), timeout=2 * LIVE_MS_MAX)
        assert page.evaluate("tessera.stream.opened") > opened
        wait_until_live(page)
        assert page.evaluate("tessera.breaks.count") == 0, "it was resumed, not shown anew"


def test_that_nobody_answers_any_more_is_said_and_tried_again(world: Cluster, page: Page) -> None:
    with a_way_to(world.port) as way:
        look_at(page, way.url)
        page.evaluate("Object.assign(tessera.stream, { quietMs: 1500, answerMs: 1500 })")
        way.freeze()
        way.is_shut = True
        expect(page.locator("#state")).to_have_text("reconnecting", timeout=LIVE_MS_MAX)
        way.is_shut = False
        wait_until_live(page)
        expect(page.locator("#note")).to_contain_text("nothing missed", timeout=5_000)


def test_where_nothing_happens_the_stream_is_asked_again_and_nobody_notices(
    world: Cluster, page: Page
) -> None:
    page.goto(f"{world.url()}/#at=-100000,100000&zoom=10")
    wait_until_live(page)
    page.wait_for_function("tessera.world.chunks.size >= 9", timeout=LIVE_MS_MAX)
    opened = page.evaluate("tessera.stream.opened")
    page.evaluate(
        """() => {
            tessera.stream.quietMs = 500;
            globalThis.states = new Set();
            const { state, show } = tessera.hearing;
            tessera.hearing.state = (name) => { states.add(name); state(name); };
            globalThis.whole = 0;
            tessera.hearing.show = (chunk) => { whole++; show(chunk); };
        }"""
    )
    page.wait_for_function(f"tessera.stream.opened >= {opened + 3}", timeout=LIVE_MS_MAX)
    assert page.evaluate("[...states]") == ["live"]
    assert page.evaluate("whole") == 0, "it goes on where it was"
    expect(page.locator("#note")).to_have_attribute("data-shown", "false")
