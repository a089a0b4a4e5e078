from __future__ import annotations

import re
from typing import Any

import attrs
import httpx
import pytest
import structlog
import trio
from werkzeug.datastructures import Headers

from common.limits import ANSWER_SECONDS_MAX, BODY_BYTES_MAX, BODY_SECONDS_MAX, REST_SECONDS_MAX

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def problem_of(response: Any, status: int, code: str) -> Any:
    assert response.status_code == status, await response.get_data(as_text=True)
    assert response.content_type == "application/problem+json"
    problem = await response.get_json(force=True)
    assert problem["type"] == "about:blank"
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["title"]
    assert problem["detail"]
    assert response.headers["X-Trace-Id"] == problem["trace_id"]
    assert re.fullmatch("[0-9a-f]{32}", problem["trace_id"])
    return problem


@pytest.mark.parametrize(
    "path", ["/nothing", "/v1", "/v1/keys/", "/v1//keys", "/v1/agents/", "/%00", "/ä"]
)
async def test_what_is_not_there_is_not_found(house: Any, autojump_clock: Any, path: str) -> None:
    await problem_of(await house.call("GET", path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/signup", {"POST", "OPTIONS"}),
        ("PUT", "/v1/keys", {"GET", "HEAD", "POST", "OPTIONS"}),
        ("POST", "/v1/keys/x", {"DELETE", "OPTIONS"}),
        ("POST", "/", {"GET", "HEAD", "OPTIONS"}),
        ("TRACE", "/healthz", {"GET", "HEAD", "OPTIONS"}),
        ("BREW", "/healthz", {"GET", "HEAD", "OPTIONS"}),
    ],
)
async def test_a_method_that_is_not_there_names_those_that_are(
    house: Any, autojump_clock: Any, method: str, path: str, allowed: set[str]
) -> None:
    response = await house.call(method, path)
    await problem_of(response, 405, "method_not_allowed")
    assert set(response.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/keys", {"GET", "HEAD", "POST", "OPTIONS"}),
        ("/v1/agent", {"GET", "HEAD", "OPTIONS"}),
        ("/", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_options_names_the_methods_and_has_no_content(
    live_url: str, path: str, allowed: set[str]
) -> None:
    # On a real server: the test client gives each answer a content type.
    response = httpx.options(live_url + path, trust_env=False)
    assert response.status_code == 204
    assert set(response.headers["Allow"].split(", ")) == allowed
    assert "Content-Type" not in response.headers
    assert response.content == b""


async def test_head_is_get_without_the_body(house: Any, autojump_clock: Any) -> None:
    head, get = [await house.call(method, "/healthz") for method in ("HEAD", "GET")]
    assert (head.status_code, head.headers["Content-Length"]) == (
        200,
        get.headers["Content-Length"],
    )


async def test_the_trace_of_the_caller_is_kept(house: Any, autojump_clock: Any) -> None:
    response = await house.call("GET", "/nothing", headers={"traceparent": TRACEPARENT})
    problem = await problem_of(response, 404, "not_found")
    assert problem["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    fine = await house.call("GET", "/healthz", headers={"traceparent": TRACEPARENT})
    assert fine.headers["X-Trace-Id"] == "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "nonsense",
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        TRACEPARENT.upper(),
    ],
)
async def test_a_trace_that_is_none_is_replaced(
    house: Any, autojump_clock: Any, traceparent: str
) -> None:
    response = await house.call("GET", "/nothing", headers={"traceparent": traceparent})
    problem = await problem_of(response, 404, "not_found")
    assert problem["trace_id"] not in traceparent.lower()


@pytest.mark.parametrize("token", [None, "", "x", "tsk_1_2", "tso_" + "a" * 66, "é"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/keys"),
        ("GET", "/v1/keys"),
        ("DELETE", "/v1/keys/x"),
        ("POST", "/v1/sessions"),
        ("GET", "/v1/sessions/current"),
        ("DELETE", "/v1/sessions/current"),
        ("GET", "/v1/agent"),
    ],
)
async def test_who_is_nobody_is_unauthorized(
    house: Any, autojump_clock: Any, method: str, path: str, token: str | None
) -> None:
    response = await house.call(method, path, token=token)
    await problem_of(response, 401, "unauthorized")
    assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_all_bad_tokens_get_the_same_answer(house: Any, autojump_clock: Any) -> None:
    agent = await house.sign_up()
    good = agent["api_key"]
    session = await house.open_session(good)
    unknown = (await house.sign_up("Bob"))["api_key"]
    house.postgres.keys.pop(unknown.split("_")[1])
    typo = good[:-1] + ("a" if good[-1] != "a" else "b")
    answers = set()
    for token in (typo, unknown, session["session_token"], "nonsense", good[4:]):
        problem = await problem_of(
            await house.call("GET", "/v1/keys", token=token), 401, "unauthorized"
        )
        answers.add((problem["title"], problem["detail"]))
    assert len(answers) == 1


async def test_of_two_authorizations_none_counts(house: Any, autojump_clock: Any) -> None:
    agent = await house.sign_up()
    client = house.app.test_client()
    both = [("Authorization", f"Bearer {agent['api_key']}"), ("Authorization", "Bearer x")]
    response = await client.open("/v1/keys", method="GET", headers=Headers(both))
    await problem_of(response, 401, "unauthorized")


async def test_the_scheme_is_read_without_regard_to_case(house: Any, autojump_clock: Any) -> None:
    agent = await house.sign_up()
    headers = {"Authorization": f"bearer {agent['api_key']}"}
    assert (await house.call("GET", "/v1/keys", headers=headers)).status_code == 200


async def test_a_body_of_64_kib_is_read_and_a_larger_one_is_not(
    house: Any, autojump_clock: Any
) -> None:
    headers = {"Content-Type": "application/json"}
    for size, status, code in (
        (BODY_BYTES_MAX, 422, "validation_failed"),
        (BODY_BYTES_MAX + 1, 413, "too_large"),
    ):
        data = b'"' + b"x" * (size - 2) + b'"'
        response = await house.call("POST", "/v1/signup", data=data, headers=headers)
        await problem_of(response, status, code)


async def test_a_large_body_without_a_length_is_refused_as_well(
    house: Any, autojump_clock: Any
) -> None:
    headers = {"Content-Type": "application/json"}
    connection = house.app.test_client().request("/v1/signup", method="POST", headers=headers)
    with trio.fail_after(REST_SECONDS_MAX + 0.1):
        async with connection:
            for _ in range(BODY_BYTES_MAX // 8192 + 1):
                await connection.send(b"[" * 8192)
    await problem_of(await connection.as_response(), 413, "too_large")


async def test_a_body_that_drips_is_ended(house: Any, autojump_clock: Any) -> None:
    headers = {"Content-Type": "application/json"}
    connection = house.app.test_client().request("/v1/signup", method="POST", headers=headers)
    began = trio.current_time()
    async with connection:
        for byte in b'{"name"':
            await connection.send(bytes([byte]))
            await trio.sleep(1)
        while connection.status_code is None:
            await trio.sleep(0.1)
        assert trio.current_time() - began == pytest.approx(BODY_SECONDS_MAX, abs=0.2)
    response = await connection.as_response()
    await problem_of(response, 408, "request_timeout")
    assert response.headers["Connection"] == "close"
    assert trio.current_time() - began == pytest.approx(BODY_SECONDS_MAX + REST_SECONDS_MAX)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", None]
)
async def test_a_body_that_is_no_json_is_unsupported(
    house: Any, autojump_clock: Any, content_type: str | None
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    response = await house.call("POST", "/v1/signup", data=b'{"name": "Ada"}', headers=headers)
    await problem_of(response, 415, "unsupported_media_type")
    assert response.headers["Accept"] == "application/json"


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (b"", "$.name"),
        (b"{}", "$.name"),
        (b"{", "$"),
        (b"[]", "$"),
        (b"null", "$"),
        (b"\xff\xfe", "$"),
        (b'{"name": "\xff"}', "$"),
        (b'{"name": "\\ud800abc"}', "$"),
        (b'{"name": "Ada"} x', "$"),
        (b"[" * 60_000, "$"),
        (b'{"name": "Ada", "admin": true}', "$.admin"),
    ],
)
async def test_a_body_that_is_wrong_is_refused_by_name(
    house: Any, autojump_clock: Any, data: bytes, path: str
) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    response = await house.call("POST", "/v1/signup", data=data, headers=headers)
    problem = await problem_of(response, 422, "validation_failed")
    assert [error["path"] for error in problem["errors"]] == [path]
    assert all(error["message"] for error in problem["errors"])


@pytest.mark.parametrize("path", ["/v1/signup", "/v1/world", "/v1/agents/agt_1"])
async def test_trouble_is_unavailable_and_does_not_say_what(
    house: Any, autojump_clock: Any, path: str
) -> None:
    house.redis.down = house.postgres.down = True
    method = "POST" if path == "/v1/signup" else "GET"
    more = {"json": {"name": "Ada"}} if method == "POST" else {}
    response = await house.call(method, path, **more)
    problem = await problem_of(response, 503, "unavailable")
    assert problem["retry_after_ms"] == 1_000
    assert response.headers["Retry-After"] == "1"
    assert "creating" not in problem["detail"]


async def test_a_store_that_hangs_is_unavailable(house: Any, autojump_clock: Any) -> None:
    class Hanging:
        async def account(self, _: str) -> None:
            await trio.sleep_forever()

        async def world(self) -> None: ...

    house.outside = attrs.evolve(house.outside, accounts=Hanging())
    began = trio.current_time()
    await problem_of(await house.call("GET", "/v1/agents/agt_1"), 503, "unavailable")
    assert trio.current_time() - began == ANSWER_SECONDS_MAX


async def test_a_mistake_of_ours_is_told_by_its_trace_only(house: Any, autojump_clock: Any) -> None:
    class Broken:
        async def account(self, _: str) -> None:
            raise ZeroDivisionError("the-reason")

        async def world(self) -> None: ...

    house.outside = attrs.evolve(house.outside, accounts=Broken())
    with structlog.testing.capture_logs() as lines:
        response = await house.call("GET", "/v1/agents/agt_1", headers={"traceparent": TRACEPARENT})
    text = await response.get_data(as_text=True)
    problem = await problem_of(response, 500, "internal")
    assert "the-reason" not in text
    assert "Traceback" not in text
    (line,) = lines
    assert line["event"] == "call_failed"
    assert line["trace_id"] == problem["trace_id"]
    assert isinstance(line["exc_info"], ZeroDivisionError)


async def test_no_secret_gets_into_the_log(house: Any, autojump_clock: Any) -> None:
    agent = await house.sign_up()
    session = await house.open_session(agent["api_key"])
    with structlog.testing.capture_logs() as lines:
        house.redis.down = house.postgres.down = True
        await house.call("GET", "/v1/keys", token=agent["api_key"])
        await house.call("GET", "/v1/sessions/current", token=session["session_token"])
        await house.call("GET", f"/v1/agent?resume={session['resume_token']}")
    assert lines
    for secret in (agent["api_key"], *(session[key] for key in SECRETS)):
        assert secret not in repr(lines)


SECRETS = ("session_token", "challenge_secret", "resume_token")


async def test_answers_are_not_kept_by_anybody(house: Any, autojump_clock: Any) -> None:
    for path in ("/healthz", "/nothing"):
        response = await house.call("GET", path)
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_websockets_address_asks_for_an_upgrade(house: Any, autojump_clock: Any) -> None:
    session = await house.open_session((await house.sign_up())["api_key"])
    for path, token in (("/v1/agent", session["session_token"]), ("/v1/spectate/ws", None)):
        response = await house.call("GET", path, token=token)
        await problem_of(response, 426, "upgrade_required")
        assert response.headers["Upgrade"] == "websocket"
