from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest

from gateway.http.pages import read_pages


async def test_the_viewer_is_served_with_a_strict_policy(house: Any, autojump_clock: Any) -> None:
    response = await house.call("GET", "/")
    assert response.status_code == 200
    assert response.content_type == "text/html; charset=utf-8"
    assert await response.get_data() == (files("gateway") / "viewer/index.html").read_bytes()
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/ops/", "/ops", "/console/index.html"])
async def test_the_operators_page_is_served_with_a_policy_of_its_own(
    house: Any, autojump_clock: Any, path: str
) -> None:
    response = await house.call("GET", path)
    assert response.status_code == 200
    assert await response.get_data() == (files("gateway") / "console/index.html").read_bytes()
    policy = response.headers["Content-Security-Policy"]
    for part in (
        "default-src 'none'",
        "script-src 'self'",
        "connect-src 'self'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ):
        assert part in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "data:" not in policy


def test_no_page_has_an_inline_script() -> None:
    for page in read_pages():
        if page.content_type.startswith("text/html"):
            text = page.data.decode()
            assert "<script>" not in text
            assert " onclick=" not in text
            assert "<style" not in text
            assert " style=" not in text


async def test_every_file_of_the_viewer_is_served_as_what_it_is(
    house: Any, autojump_clock: Any
) -> None:
    kinds = {
        "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
        "svg": "image/svg+xml",
        "html": "text/html; charset=utf-8",
    }
    served = [page.path for page in read_pages() if page.path.startswith(("/viewer/", "/console/"))]
    assert {"/viewer/index.html", "/console/index.html"} <= set(served)
    for path in served:
        response = await house.call("GET", path)
        assert response.status_code == 200
        assert response.content_type == kinds[path.rpartition(".")[2]]


@pytest.mark.parametrize(
    "path",
    [
        "/viewer/",
        "/console/",
        "/console/main.py",
        "/skill.md/",
        "/viewer/nothing.js",
        "/viewer/../ports.py",
        "/viewer/%2e%2e/ports.py",
        "/viewer/..%2f..%2fpyproject.toml",
        "/viewer/__init__.py",
        "/skill.txt",
    ],
)
async def test_nothing_else_is_served(house: Any, autojump_clock: Any, path: str) -> None:
    assert (await house.call("GET", path)).status_code == 404


@pytest.mark.parametrize("path", ["/", "/skill.md", "/openapi.json", "/viewer/index.html"])
async def test_a_page_that_did_not_change_is_not_sent_again(
    house: Any, autojump_clock: Any, path: str
) -> None:
    first = await house.call("GET", path)
    etag = first.headers["ETag"]
    assert first.headers["Cache-Control"] == "no-cache"
    for told in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = await house.call("GET", path, headers={"If-None-Match": told})
        assert (again.status_code, await again.get_data()) == (304, b"")
        assert again.headers["ETag"] == etag
    changed = await house.call("GET", path, headers={"If-None-Match": '"other"'})
    assert changed.status_code == 200
