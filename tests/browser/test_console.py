"""The operators' page, in a browser that keeps to its policy, with a world behind it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.end_to_end.cluster import Cluster

pytestmark = [pytest.mark.browser, pytest.mark.cluster]

SHOWN_MS_MAX = 15_000
SECONDS_MAX = 60.0


@pytest.fixture(autouse=True)
def _patience() -> Iterator[None]:
    """Playwright's own five seconds are short on a machine that has other work."""
    expect.set_options(timeout=SHOWN_MS_MAX)
    yield
    expect.set_options(timeout=5_000)


@pytest.fixture
def token(world: Cluster) -> str:
    """That of ``tessera up``, an admin's."""
    return (world.data / "run" / "ops-token").read_text().strip()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Its policy is in force, and nothing may be written to the browser's console."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="dark")
    complaints: list[str] = []
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    yield context
    context.close()
    expected = "Failed to load resource"  # Chromium says so of each call that is refused.
    assert [complaint for complaint in complaints if expected not in complaint] == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def ask(world: Cluster, token: str, method: str, path: str, **more: Any) -> Any:
    headers = {"Authorization": f"Bearer {token}"}
    response = httpx.request(
        method, world.url() + path, headers=headers, trust_env=False, timeout=15, **more
    )
    response.raise_for_status()
    return response.json() if response.content else None


def make_token(world: Cluster, token: str, role: str) -> dict[str, str]:
    made: dict[str, str] = ask(world, token, "POST", "/ops/tokens", json={"role": role})
    return made


def log_in(page: Page, world: Cluster, token: str) -> None:
    page.goto(f"{world.url()}/ops/")
    page.get_by_label("An operator's token").fill(token)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#state")).to_have_text("live", timeout=SHOWN_MS_MAX)


def changes(world: Cluster, token: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = ask(world, token, "GET", "/ops/audit?changes=true")["items"]
    return items


def test_a_token_that_is_none_lets_nobody_in(world: Cluster, page: Page) -> None:
    page.goto(f"{world.url()}/ops/")
    for wrong in ("nonsense", "schlüssel"):
        page.get_by_label("An operator's token").fill(wrong)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).not_to_be_empty()
        expect(page.locator("#in")).to_be_hidden()
    assert page.evaluate("sessionStorage.length") == 0


def test_who_is_quicker_than_the_page_sends_no_token_anywhere(
    world: Cluster, page: Page, token: str
) -> None:
    held: list[Route] = []
    asked: list[str] = []
    page.route("**/console/main.js", lambda route: held.append(route))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{world.url()}/ops/", wait_until="commit")
    page.get_by_label("An operator's token").fill(token)
    page.keyboard.press("Enter")
    page.wait_for_timeout(500)
    assert held
    assert page.url == f"{world.url()}/ops/"
    assert not [url for url in asked if token in url]
    held[0].continue_()
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#state")).to_have_text("live")


def test_a_token_stays_in_its_tab_and_ends_with_logging_out(
    world: Cluster, context: BrowserContext, page: Page, token: str
) -> None:
    log_in(page, world, token)
    assert page.evaluate("Object.values(sessionStorage)") == [token]
    assert page.evaluate("localStorage.length") == 0
    assert context.cookies() == []
    assert token not in page.content()
    page.reload()
    expect(page.locator("#state")).to_have_text("live", timeout=SHOWN_MS_MAX)
    other = context.new_page()
    other.goto(f"{world.url()}/ops/")
    expect(other.locator("#in")).to_be_hidden()
    page.get_by_role("button", name="Log out").click()
    expect(page.locator("#out")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0
    expect(page.locator("#audit tbody tr")).to_have_count(0)


def test_nothing_is_asked_of_anybody_else_and_only_while_somebody_looks(
    world: Cluster, page: Page, token: str
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    log_in(page, world, token)
    page.wait_for_timeout(5_000)
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(world.url()).netloc}
    assert not [url for url in asked if token in url]
    looks = sum(url.endswith("/ops/topology") for url in asked)
    assert 2 <= looks <= 5
    page.get_by_role("button", name="Log out").click()
    page.wait_for_timeout(500)
    asked.clear()
    page.wait_for_timeout(3_000)
    assert asked == []


def test_slots_show_their_load_and_lateness_as_charts(
    world: Cluster, page: Page, token: str
) -> None:
    log_in(page, world, token)
    cards = page.locator(".slot")
    expect(cards).to_have_count(2, timeout=SHOWN_MS_MAX)
    slots = ask(world, token, "GET", "/ops/topology")["slots"]
    holders = {each["slot"]: each["shard"] for each in slots}
    for slot in (0, 1):
        card = page.locator(f".slot[data-slot='{slot}']")
        expect(card).to_have_attribute("data-state", "held", timeout=SHOWN_MS_MAX)
        expect(card.locator(".shard")).to_have_text(holders[slot])
        for chart in (f"Agents in slot {slot}", f"Tick lateness of slot {slot}"):
            label = card.get_by_role("img", name=chart)
            expect(label).to_have_attribute(
                "aria-label", re.compile("now [0-9]"), timeout=SHOWN_MS_MAX
            )
        expect(card.locator("path.line").first).to_be_attached()
    expect(page.locator("#summary")).to_contain_text("2 in force")
    deadline = time.monotonic() + SECONDS_MAX
    while agents_shown(page) < 6:  # The bots; one may just be between the two slots.
        assert time.monotonic() < deadline, cards.all_inner_texts()
        time.sleep(0.5)


def agents_shown(page: Page) -> int:
    return sum(
        int(page.locator(f".slot[data-slot='{slot}'] .gauge b").first.inner_text())
        for slot in (0, 1)
    )


def test_the_map_has_each_chunk_in_the_colour_of_its_slot(
    world: Cluster, page: Page, token: str
) -> None:
    log_in(page, world, token)
    expect(page.locator("#legend li").first).to_be_visible(timeout=SHOWN_MS_MAX)
    chunks = ask(world, token, "GET", "/ops/chunks?limit=500")["items"]
    drawn = page.evaluate(
        """() => {
            const pen = document.getElementById("map").getContext("2d");
            const { width, height } = pen.canvas;
            const found = new Set();
            const { data } = pen.getImageData(0, 0, width, height);
            for (let at = 0; at < data.length; at += 4) {
                const [red, green, blue, opacity] = data.slice(at, at + 4);
                if (opacity === 255) found.add(`${red}, ${green}, ${blue}`);
            }
            const colour = (item) => getComputedStyle(item.querySelector("i")).backgroundColor;
            const items = [...document.querySelectorAll("#legend li")];
            return items.map((item) => [item.textContent, colour(item), [...found]]);
        }"""
    )
    assert {text.split(":")[0] for text, _, _ in drawn} <= {
        f"Slot {item['slot']}" for item in chunks
    }
    assert len({colour for _, colour, _ in drawn}) == len(drawn)
    here = f"Slot {next(item['slot'] for item in chunks if item['chunk'] == '0:0')}"
    (colour, found) = next(
        (colour, found) for text, colour, found in drawn if text.startswith(here)
    )
    assert colour.removeprefix("rgb(").removesuffix(")") in found
    label = page.locator("#map").get_attribute("aria-label") or ""
    assert "slot 0 has" in label or "slot 1 has" in label
    box = page.locator("#map").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 1, box["y"] + 1)
    expect(page.locator("#under")).to_contain_text("chunks")


def test_a_reshard_asks_first_and_then_is_wanted(world: Cluster, page: Page, token: str) -> None:
    log_in(page, world, token)
    before = changes(world, token)
    page.get_by_label("Shards wanted").fill("3")
    page.get_by_role("button", name="Reshard", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("From 2 to 3")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert changes(world, token) == before, "nothing was asked for"
    try:
        page.get_by_role("button", name="Reshard", exact=True).click()
        dialog.get_by_role("button", name="Reshard to 3").click()
        expect(page.locator("#told")).to_contain_text("3 shards are wanted")
        row = page.locator("#audit tbody tr").first
        expect(row).to_contain_text("POST /ops/reshard")
        expect(row.locator(".result")).to_have_text("ok")
        topology = ask(world, token, "GET", "/ops/topology")
        assert (topology["wanted"] or topology)["shard_count"] == 3
    finally:
        ask(world, token, "POST", "/ops/reshard", json={"shard_count": 2})
        wait_until_settled(world, token, 2)


def wait_until_settled(world: Cluster, token: str, count: int) -> dict[str, Any]:
    """Return the topology once so many slots are in force, and a shard for each has it."""
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        topology: dict[str, Any] = ask(world, token, "GET", "/ops/topology")
        shards = sorted(shard["shard"] for shard in topology["shards"])
        holders = [slot["shard"] for slot in topology["slots"] if slot["in_force"]]
        is_settled = topology["wanted"] is None and topology["shard_count"] == count
        if is_settled and None not in holders and sorted(holders) == shards:
            return topology
        assert time.monotonic() < deadline, topology
        time.sleep(0.5)


def holder_of(topology: dict[str, Any], slot: int) -> str:
    holders: dict[int, str] = {each["slot"]: each["shard"] for each in topology["slots"]}
    return holders[slot]


def test_a_drain_asks_first_says_what_else_it_takes_and_is_done(
    world: Cluster, page: Page, token: str
) -> None:
    log_in(page, world, token)
    before = changes(world, token)
    old = holder_of(wait_until_settled(world, token, 2), 1)
    card = page.locator(".slot[data-slot='1'] .shard")
    expect(card).to_have_text(old)
    drain = page.get_by_role("button", name="Drain the shard of slot 1")
    drain.click(timeout=SHOWN_MS_MAX)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("hands over all that it has, not only slot 1")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    assert changes(world, token) == before, "nothing was asked for"
    drain.click()
    dialog.get_by_role("button", name="Drain it").click()
    expect(page.locator("#told")).to_contain_text("was told to drain")
    row = page.locator("#audit tbody tr").first
    expect(row).to_contain_text("POST /ops/shards/{slot}/drain")
    expect(row.locator(".result")).to_have_text("ok")
    expect(page.locator("#processes")).not_to_contain_text(old)
    topology = wait_until_settled(world, token, 2)
    assert old not in {shard["shard"] for shard in topology["shards"]}
    expect(card).to_have_text(holder_of(topology, 1))


def test_a_viewer_is_told_what_it_may_not_do(world: Cluster, page: Page, token: str) -> None:
    log_in(page, world, make_token(world, token, "viewer")["token"])
    page.get_by_label("Shards wanted").fill("9")
    page.get_by_role("button", name="Reshard", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Reshard to 9").click()
    expect(page.locator("#told")).to_contain_text("needs the role operator")
    expect(page.locator("#audit tbody tr").first.locator(".result")).to_have_text("role_missing")
    assert ask(world, token, "GET", "/ops/topology")["wanted"] is None


def test_a_token_that_is_revoked_logs_out(world: Cluster, page: Page, token: str) -> None:
    made = make_token(world, token, "viewer")
    log_in(page, world, made["token"])
    ask(world, token, "DELETE", f"/ops/tokens/{made['token_id']}")
    expect(page.get_by_role("alert")).to_contain_text("no longer accepted", timeout=SHOWN_MS_MAX)
    expect(page.locator("#in")).to_be_hidden()
    assert page.evaluate("sessionStorage.length") == 0


def test_the_audit_log_goes_back_page_by_page_and_shows_text_as_text(
    world: Cluster, page: Page, token: str
) -> None:
    evil = "<img src=x onerror=alert(1)>"
    headers = {"Authorization": f"Bearer {token}"}
    for number in range(30):
        name = evil if number == 29 else f"nobody-{number}"
        httpx.post(f"{world.url()}/ops/agents/{name}/kick", headers=headers, trust_env=False)
    log_in(page, world, token)
    rows = page.locator("#audit tbody tr")
    expect(rows).to_have_count(25, timeout=SHOWN_MS_MAX)
    expect(rows.first).to_contain_text(evil)
    assert page.locator("#audit img").count() == 0
    page.get_by_role("button", name="Older").click()
    expect(rows.nth(25)).to_be_visible()
    expect(page.locator("#audit tbody")).to_contain_text("nobody-0")
    ids = [row.get_attribute("data-row") for row in rows.all()]
    assert len(set(ids)) == len(ids)
    page.get_by_label("Only changes").uncheck()
    expect(rows.first).to_contain_text("GET /ops/", timeout=SHOWN_MS_MAX)


def test_a_gateway_that_does_not_answer_is_noticed_and_comes_back(
    world: Cluster, page: Page, token: str
) -> None:
    log_in(page, world, token)
    page.route("**/ops/topology", lambda route: route.abort())
    expect(page.locator("#state")).to_have_text("no answer", timeout=SHOWN_MS_MAX)
    page.unroute("**/ops/topology")
    expect(page.locator("#state")).to_have_text("live", timeout=SHOWN_MS_MAX)


def test_it_is_all_there_with_the_keyboard_alone(world: Cluster, page: Page, token: str) -> None:
    page.goto(f"{world.url()}/ops/")
    expect(page.get_by_role("button", name="Log in")).to_be_enabled()
    page.keyboard.type(token)  # The field has the focus.
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_have_text("live", timeout=SHOWN_MS_MAX)
    page.get_by_label("Shards wanted").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    for button in page.get_by_role("button").all():
        assert (button.get_attribute("aria-label") or button.inner_text()).strip()


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_on_a_phone_nothing_overflows_by_day_and_by_night(
    world: Cluster, browser: Browser, token: str, scheme: Any
) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True, color_scheme=scheme
    )
    page = context.new_page()
    log_in(page, world, token)
    expect(page.locator(".slot")).to_have_count(2)
    for table in ("#processes", "#audit"):  # What is wide.
        expect(page.locator(f"{table} tbody tr").first).to_be_attached(timeout=SHOWN_MS_MAX)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(20, 22, 27)" if scheme == "dark" else "rgb(233, 228, 216)")
    context.close()


@pytest.fixture
def run(world: Cluster, page: Page) -> Any:
    """Evaluate a function of a module's exports."""
    page.goto(f"{world.url()}/skill.md")  # Nothing runs there but what we ask for.

    def evaluate(module: str, body: str) -> Any:
        return page.evaluate(f"import('/console/{module}.js').then((module) => {{ {body} }})")

    return evaluate


def test_a_chart_has_a_hole_where_nobody_said_anything(run: Any) -> None:
    runs = run("chart", "return module.runs([1, 2, null, undefined, 3]);")
    assert [[point["at"] for point in stretch] for stretch in runs] == [[0, 1], [4]]


def test_samples_are_kept_for_a_while_and_of_slots_that_are_there(run: Any) -> None:
    kept = run(
        "samples",
        """
        const samples = new module.Samples(3);
        const look = (agents) => ({ slot: 0, agents, lateness_p99_ms: null });
        for (const agents of [1, 2, 3, 4]) samples.take([look(agents), { ...look(9), slot: 1 }]);
        const before = [samples.of(0, "agents"), module.peak(samples, "agents", 5)];
        samples.take([look(5)]);
        return [...before, samples.of(1, "agents"), samples.of(0, "late")];
        """,
    )
    assert kept == [[2, 3, 4], 9, [], [None, None, None]]


def test_the_map_holds_all_of_a_world_in_its_middle(run: Any) -> None:
    frame = run("map", "return module.frameOf([[-3, 2], [5, 2], [0, 7]], 400, 300);")
    assert frame["west"] == -3
    assert frame["north"] == 2
    assert frame["size"] * 9 <= 400 - 16
    assert frame["size"] * 6 <= 300 - 16
    assert frame["left"] + frame["size"] * 4.5 == pytest.approx(200)
    assert frame["top"] + frame["size"] * 3 == pytest.approx(150)


def test_progress_is_said_until_every_chunk_is_moved(run: Any) -> None:
    said = run(
        "reshard",
        """
        const slot = { slot: 0, in_force: true, shard: "a", epoch: 3, leaving: 0 };
        const world = (more, each = {}) =>
            ({ epoch: 3, wanted: null, slots: [{ ...slot, ...each }], ...more });
        return [
            world({ wanted: { epoch: 4, shard_count: 2 } }),
            world({}, { leaving: 5 }),
            world({}, { epoch: 2 }),
            world({}),
        ].map(module.progressOf);
        """,
    )
    assert "1 of 2 slots are held" in said[0]
    assert "5 chunks are yet to be handed over" in said[1]
    assert "1 slots are yet to go by it" in said[2]
    assert said[3] == ""
