"""The viewer's parts that only compute, each by itself, in the browser that runs them."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.end_to_end.cluster import Cluster

pytestmark = [pytest.mark.browser, pytest.mark.cluster]


@pytest.fixture
def run(world: Cluster, page: Page) -> Any:
    """Evaluate a function of a module's exports."""
    page.goto(f"{world.url()}/skill.md")  # Nothing runs there but what we ask for.

    def evaluate(module: str, body: str) -> Any:
        return page.evaluate(f"import('/viewer/{module}.js').then(async (module) => {{ {body} }})")

    return evaluate


def test_the_view_stays_while_a_border_is_walked_along(run: Any) -> None:
    middles = run(
        "view",
        """
        const { NOWHERE, nextView } = module;
        let view = nextView(NOWHERE, { x: 49, y: 25, scale: 14 }, 1000, 800);
        const middles = [];
        for (const x of [49, 51, 48, 54.9, 49, 55.1, 54, 46, 44.9]) {
            view = nextView(view, { x, y: 25, scale: 14 }, 1000, 800);
            middles.push(view.cx);
        }
        return middles;
        """,
    )
    assert middles == [0, 0, 0, 0, 0, 1, 1, 1, 0]


def test_a_view_lists_its_chunks_from_the_middle_outward(run: Any) -> None:
    chunks = run("view", "return module.chunksOf({ cx: -3, cy: 7, reach: 2 });")
    assert chunks[0] == "-3:7"
    assert set(chunks[1:5]) == {"-4:7", "-2:7", "-3:6", "-3:8"}
    assert len(set(chunks)) == 25


def test_the_reach_does_not_flicker_at_the_edge_of_a_zoom(run: Any) -> None:
    reaches = run(
        "view",
        """
        const { NOWHERE, nextView } = module;
        let view = NOWHERE;
        return [1.5, 2.2, 2.5, 2.2, 2.0, 1.8, 2.2].map((span) => {
            view = nextView(view, { x: 25, y: 25, scale: 1000 / 50 / span }, 1000, 500);
            return view.reach;
        });
        """,
    )
    assert reaches == [1, 1, 2, 2, 2, 1, 1]


def test_a_link_says_where_and_nonsense_says_nothing(run: Any) -> None:
    links = [
        "#at=12,-7&zoom=14.3&agent=agt_1", "", "#at=12", "#at=a,b&zoom=-1", "#at=1e9,0",
        "#at=99999999999,0&zoom=Infinity", "#at=-0.5,3",
    ]  # fmt: skip
    read = run("link", f"return {links!r}.map((link) => module.readLink(link));")
    assert read[0] == {"x": 12, "y": -7, "zoom": 14.3, "agent": "agt_1"}
    assert [sorted(key for key in each if each[key] is not None) for each in read[1:]] == [
        [], [], [], [], [], ["x", "y"]
    ]  # fmt: skip
    assert run(
        "link", "return module.writeLink({ x: -0.5, y: 3.9, scale: 14.2857 }, 'agt_1');"
    ) == ("#at=-1,3&zoom=14.3&agent=agt_1")


def test_what_was_missed_and_comes_at_once_is_laid_out_by_its_ticks(run: Any) -> None:
    """The stream is lost from tick 100 to 150; a quiet chunk had its last delta at tick 60."""
    moments, quiet = run(
        "clockwork",
        """
        const clockwork = new module.Clockwork();
        const moments = [], quiet = [clockwork.momentOf("1:0", 60, 60 * 200)];
        for (let tick = 1; tick <= 200; tick++) {
            if (tick === 101) clockwork.lost(100 * 200 + 50);
            if (tick === 150) clockwork.back(150 * 200);
            if (tick === 150) quiet.push(clockwork.momentOf("1:0", 130, 150 * 200));
            const isHeard = tick <= 100 || tick > 150;
            if (isHeard) moments.push(clockwork.momentOf("0:0", tick, tick * 200));
            if (tick !== 150) continue;
            for (let missed = 101; missed <= 150; missed++) {
                moments.push(clockwork.momentOf("0:0", missed, 150 * 200));
            }
        }
        return [moments, quiet];
        """,
    )
    assert moments == [tick * 200 for tick in range(1, 201)]
    assert quiet == [60 * 200, 130 * 200]


def test_nothing_that_was_missed_is_shown_before_the_stream_was_lost(run: Any) -> None:
    """A chunk that came to life meanwhile began with tick 1, and had been tick 0 for ever."""
    moments = run(
        "clockwork",
        """
        const clockwork = new module.Clockwork();
        const moments = [clockwork.momentOf("0:0", 0, 1000)];
        clockwork.lost(60_000);
        clockwork.back(65_000);
        for (const tick of [1, 2, 3]) moments.push(clockwork.momentOf("0:0", tick, 65_000));
        moments.push(clockwork.momentOf("0:0", 4, 70_000));
        return moments;
        """,
    )
    assert moments == [1000, 60_000, 60_200, 60_400, 70_000]


HISTORY = """
    const { History } = module;
    const history = new History();
    const entities = [...Array(crowd).keys()].map((n) => ({ id: `a${n}`, name: "A", x: n, y: 0 }));
    const whole = (tick) => ({ chunk: "0:0", generation: 1, tick, terrain: [], entities });
    history.whole(whole(0), 0);
    for (let tick = 1; tick <= ticks; tick++) {
        const events = entities.map(({ id }) => ({ type: "moved", id, x: tick, y: 0 }));
        const delta = { chunk: "0:0", tick, prev_tick: tick - 1, events };
        history.delta(delta, tick * 200, () => whole(tick));
    }
    const { entries } = history.chunks.get("0:0");
    const now = ticks * 200;
"""


def test_history_keeps_two_minutes_and_hardly_more(run: Any) -> None:
    kept = run(
        "history",
        f"""
        const crowd = 3, ticks = 3000;
        {HISTORY}
        const parts = entries.map(({{ whole, delta }}) => whole?.entities ?? delta.events);
        return {{
            first: Boolean(entries[0].whole), span: now - entries[0].at,
            start: now - history.start(now), weight: history.weight,
            sum: parts.reduce((all, part) => all + 1 + part.length, 0),
        }};
        """,
    )
    assert kept["first"], "it begins with a whole chunk"
    assert kept["start"] == 120_000
    assert 120_000 <= kept["span"] <= 120_000 + 12_000
    assert kept["sum"] == kept["weight"]


def test_history_of_a_crowd_is_shorter_rather_than_larger(run: Any) -> None:
    kept = run(
        "history",
        f"""
        const crowd = 2000, ticks = 600;
        {HISTORY}
        const start = now - history.start(now);
        return {{ weight: history.weight, start, first: entries[0].at - now }};
        """,
    )
    assert kept["weight"] <= 400_000 + 5 * 2000 + 2000, "within a second's worth of its bound"
    assert 20_000 < kept["start"] < 60_000
    assert -kept["first"] >= kept["start"], "what it says it can show, it can"


def test_history_forgets_a_chunk_that_is_no_longer_watched(run: Any) -> None:
    kept = run(
        "history",
        """
        const history = new module.History();
        const whole = (chunk, tick) => ({ chunk, generation: 1, tick, terrain: [], entities: [] });
        history.whole(whole("0:0", 0), 0);
        history.whole(whole("1:0", 0), 0);
        history.ended(["0:0", "7:7"], 1000);
        const counts = [history.chunks.size];
        history.whole(whole("1:0", 500), 100_000);
        counts.push(history.chunks.size);
        history.whole(whole("1:0", 1000), 130_000);
        counts.push(history.chunks.size, history.weight);
        return counts;
        """,
    )
    assert kept == [2, 2, 1, 3]


def test_who_is_between_two_chunks_stays_in_sight(run: Any) -> None:
    seen = run(
        "world",
        """
        let now = 1000;
        const world = new module.World(() => now);
        const rest = { generation: 1, tick: 5, terrain: [] };
        const whole = (chunk, entities) => ({ chunk, entities, ...rest });
        const apply = (chunk, tick, event) => {
            world.apply({ chunk, tick, prev_tick: 5, events: [event] });
        };
        const bob = { id: "bob", kind: "agent", name: "Bob", x: 49, y: 3 };
        world.show(whole("0:0", [bob, { ...bob, id: "eve" }]));
        world.show(whole("1:0", []));
        const left = (id, to) => ({ type: "left", id, to, reason: "moved" });
        const seen = [];
        apply("0:0", 6, left("bob", "1:0"));
        seen.push([...world.agents.keys()]);
        apply("0:0", 7, left("eve", "0:-1"));
        seen.push([...world.agents.keys()]);
        apply("1:0", 6, { type: "entered", ...bob, x: 50, from: "0:0" });
        now += 10_000;
        world.isStirring(now);
        seen.push([...world.agents.values()].map(({ id, chunk, x }) => [id, chunk, x]));
        apply("1:0", 7, left("bob", "0:0"));
        now += 10_000;
        world.isStirring(now);
        seen.push([...world.agents.keys()]);
        return seen;
        """,
    )
    assert seen == [["bob", "eve"], ["bob"], [["bob", "1:0", 50]], []]


def test_the_map_reaches_as_far_as_what_is_awake_within_reason(run: Any) -> None:
    reaches = run(
        "minimap",
        """
        const at = { x: 25, y: 25 };
        const worlds = [[], ["0:0"], ["6:0", "-2:1"], ["0:-40"], ["9:9", "500:0"]];
        return worlds.map((ids) => module.reachOf(ids, at));
        """,
    )
    assert reaches == [2, 2, 6, 2, 9]


STANDING = """
    const at = (x) => ({ id: "agt_a", kind: "agent", name: "ann", x, y: 7 });
    const shown = (chunk, tick, entities) =>
        ({ chunk, generation: 1, tick, terrain: [], entities });
    const delta = (chunk, tick, event) =>
        ({ chunk, tick, prev_tick: tick - 1, events: [{ id: "agt_a", ...event }] });
    const place = (world) => {
        const agent = world.agents.get("agt_a");
        return agent && [agent.chunk, agent.x, agent.leaves > 0];
    };
    const world = new module.World(() => 0);
"""


@pytest.mark.parametrize("first", ["0:0", "1:0"])
def test_who_is_shown_on_both_sides_of_a_border_is_where_it_went(run: Any, first: str) -> None:
    """It enters the next chunk ticks before it leaves this one: a view may begin in between."""
    body = """
        const both = [shown("0:0", 9, [at(49)])];
        both.push(shown("1:0", 5, [at(50)]));
        if (first === "1:0") both.reverse();
        for (const each of both) world.show(each);
        const cells = (id) => world.snapshot(id).entities.map(({ x }) => x);
        const kept = ["0:0", "1:0"].map(cells);
        world.apply(delta("0:0", 10, { type: "left", reason: "moved", to: "1:0" }));
        return [kept, place(world)];
    """
    kept, place = run("world", f"const first = '{first}'; {STANDING} {body}")
    assert kept == [[49], [50]], "each as it was told"
    assert place == ["1:0", 50, False]


def test_a_step_that_is_heard_late_leaves_nobody_on_the_wrong_side(run: Any) -> None:
    places = run(
        "world",
        f"""
        {STANDING}
        world.show(shown("0:0", 9, [at(48)]));
        world.show(shown("1:0", 5, []));
        world.apply(delta("1:0", 6, {{ type: "entered", ...at(50) }}));
        world.apply(delta("0:0", 10, {{ type: "moved", x: 49, y: 7 }}));
        world.apply(delta("0:0", 11, {{ type: "left", reason: "moved", to: "1:0" }}));
        const crossed = place(world);
        world.drop("1:0");
        return [crossed, place(world) ?? null];
        """,
    )
    assert places == [["1:0", 50, False], None]


def test_who_is_shown_on_both_sides_stays_when_one_of_them_goes_out_of_view(run: Any) -> None:
    place = run(
        "world",
        f"""
        {STANDING}
        world.show(shown("0:0", 9, [at(49)]));
        world.show(shown("1:0", 5, [at(50)]));
        world.drop("1:0");
        return place(world);
        """,
    )
    assert place == ["0:0", 49, False]
