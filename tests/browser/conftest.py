"""Headless Chromium from Debian's package, and a cluster of its own to look at."""

from __future__ import annotations

import asyncio
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.conftest import a_folder
from tests.end_to_end.cluster import Cluster, tessera_up

ARGUMENTS = [
    "--no-sandbox",  # Tests may run as root, in containers.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Last of all: trio_asyncio does not get over it that Playwright's loop ran in this thread."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


@pytest.fixture(scope="session")
def world() -> Iterator[Cluster]:
    """One gateway, two shards and six bots."""
    with a_folder() as folder, tessera_up(folder / "data", bots=6) as running:
        yield running


@contextmanager
def _plain_asyncio() -> Iterator[None]:
    """trio_asyncio makes every new loop one of its own; Playwright drives the usual kind."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # From 3.14; there is no other way yet.
        asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
        try:
            yield
        finally:
            asyncio.set_event_loop_policy(None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path, "the viewer is tested in Debian's chromium: apt-get install chromium"
    with _plain_asyncio(), sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails the test when it logs an error of its own."""
    # The page's own policy forbids eval, with which playwright waits for things.
    context = browser.new_context(
        viewport={"width": 1280, "height": 800}, color_scheme="dark", bypass_csp=True
    )
    errors: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []
