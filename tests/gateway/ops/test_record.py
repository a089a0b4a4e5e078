"""Every call under /ops/ is one row of the audit log, or is not carried out."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest
import trio

from common.challenge import encode_base64url
from common.errors import InDoubt, Unavailable
from common.grid import AgentId
from common.limits import BODY_BYTES_MAX, TARGET_CHARACTERS_MAX
from common.masking import HIDDEN
from common.operators import Audited, Outcome, Role
from common.tokens import Kind, new_token, parse_token
from gateway.asgi import Gateway
from gateway.ops.record import record_upgrade

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
MUTE = "/ops/agents/{}/mute"


def id_of(token: str) -> str:
    parsed = parse_token(Kind.OPERATOR, token)
    assert parsed is not None
    return parsed.id


def the_row(house: Any) -> Audited:
    (row,) = house.postgres.audit
    assert isinstance(row, Audited)
    return row


async def test_a_row_says_who_did_what_to_whom_when_and_how_it_ended(
    house: Any, autojump_clock: Any
) -> None:
    ada, token = (await house.sign_up())["agent_id"], await house.operator(Role.OPERATOR)
    await house.call("POST", MUTE.format(ada), {"seconds": 60}, token, headers=PARENT)
    row = the_row(house)
    assert row.call.actor == id_of(token)
    assert row.call.role is Role.OPERATOR
    assert row.call.action == "POST /ops/agents/{agent_id}/mute"
    assert row.call.target == f"{ada} 60 s"
    assert row.call.trace_id == TRACE
    assert row.outcome == Outcome(200, "ok")
    assert abs(row.call.at - house.outside.clock.now()) < timedelta(seconds=1)


# Method, path, body, what is sent as the token's role (None: nothing), and how it ends.
CALLS: list[tuple[str, str, dict[str, Any], Role | str | None, int, str]] = [
    ("GET", "/ops/topology", {}, Role.VIEWER, 200, "ok"),
    ("GET", "/ops/audit", {}, Role.VIEWER, 200, "ok"),
    ("HEAD", "/ops/audit", {}, Role.VIEWER, 200, "ok"),
    ("GET", "/ops/audit?limit=0", {}, Role.VIEWER, 422, "validation_failed"),
    ("GET", "/ops/topology", {}, None, 401, "unauthorized"),
    ("GET", "/ops/topology", {}, "nonsense", 401, "unauthorized"),
    ("GET", "/ops/tokens", {}, Role.OPERATOR, 403, "role_missing"),
    ("POST", "/ops/reshard", {"json": {"shard_count": 3}}, Role.OPERATOR, 202, "ok"),
    ("POST", "/ops/reshard", {"json": {"shard_count": 3}}, Role.VIEWER, 403, "role_missing"),
    ("POST", "/ops/reshard", {"json": {"shard_count": 0}}, Role.OPERATOR, 422, "validation_failed"),
    ("POST", "/ops/reshard", {"data": b"{"}, Role.OPERATOR, 422, "validation_failed"),
    ("POST", "/ops/reshard", {"data": b"\xff\x00"}, Role.OPERATOR, 422, "validation_failed"),
    ("POST", "/ops/reshard", {"data": b"a=1", "headers": {"Content-Type": "text/plain"}},
     Role.OPERATOR, 415, "unsupported_media_type"),
    ("POST", "/ops/reshard", {"data": bytes(BODY_BYTES_MAX + 1)}, Role.OPERATOR, 413, "too_large"),
    ("POST", "/ops/shards/7/drain", {}, Role.OPERATOR, 404, "not_found"),
    ("POST", "/ops/agents/agt_0/kick", {}, Role.OPERATOR, 404, "not_found"),
    ("POST", "/ops/agents/agt_0/ban", {}, Role.OPERATOR, 403, "role_missing"),
    ("POST", "/ops/agents/%00%0a/ban", {}, Role.ADMIN, 404, "not_found"),
    ("PUT", "/ops/moderation/words", {"json": {"words": ["a"]}}, Role.OPERATOR, 200, "ok"),
    ("POST", "/ops/tokens", {"json": {"role": "viewer"}}, Role.ADMIN, 201, "ok"),
    ("POST", "/ops/tokens", {"json": {"role": "king"}}, Role.ADMIN, 422, "validation_failed"),
    ("DELETE", "/ops/tokens/none", {}, Role.ADMIN, 404, "not_found"),
    ("DELETE", "/ops/reshard", {}, Role.ADMIN, 405, "method_not_allowed"),
    ("OPTIONS", "/ops/reshard", {}, None, 204, "ok"),
    ("GET", "/ops/nothing", {}, Role.ADMIN, 404, "not_found"),
    ("POST", "/ops/", {}, None, 405, "method_not_allowed"),
    ("POST", "/ops", {}, Role.ADMIN, 404, "not_found"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "more", "who", "status", "result"), CALLS)
async def test_every_call_is_one_row_however_it_ends(
    house: Any, autojump_clock: Any, method: str, path: str, more: Any, who: Any, status: int,
    result: str,
) -> None:  # fmt: skip
    token = await house.operator(who) if isinstance(who, Role) else who
    if "data" in more:
        more = {**more, "headers": {"Content-Type": "application/json", **more.get("headers", {})}}
    response = await house.call(method, path, token=token, **more)
    assert response.status_code == status
    row = the_row(house)
    assert row.outcome == Outcome(status, result)
    assert row.call.action.split()[0] == method
    assert f"{row.call.action.split()[1]}/".startswith("/ops/")
    assert row.call.trace_id == response.headers["X-Trace-Id"]
    assert "\x00" not in row.call.target
    assert "?" not in row.call.action


@pytest.mark.parametrize("path", ["/ops/", "/ops", "/console/style.css", "/v1/world", "/opsy"])
async def test_the_page_and_other_calls_are_no_rows(
    house: Any, autojump_clock: Any, path: str
) -> None:
    await house.call("GET", path)
    assert house.postgres.audit == []


async def knock(house: Any, path: str) -> list[Any]:
    """What a WebSocket is told at ``path``."""

    async def nobody(*_: object) -> None:
        raise AssertionError("this leads nowhere")

    gateway = Gateway(nobody, nobody, nobody, nobody, partial(record_upgrade, house.outside))
    told: list[Any] = []

    async def send(event: Any) -> None:
        told.append(event)

    scope: Any = {
        "type": "websocket",
        "path": path,
        "headers": [(name.encode(), text.encode()) for name, text in PARENT.items()],
        "state": {},
    }
    await gateway(scope, trio.sleep_forever, send)
    return told


@pytest.mark.parametrize("path", ["/ops/topology", "/ops/", "/ops", "/ops/none"])
async def test_a_websocket_that_is_refused_is_one_row(
    house: Any, autojump_clock: Any, path: str
) -> None:
    told = await knock(house, path)
    assert told[0]["status"] == 404
    row = the_row(house)
    assert (row.call.action, row.call.target) == (f"GET {path}", "WebSocket")
    assert (row.call.actor, row.call.trace_id) == ("anybody", TRACE)
    assert row.outcome == Outcome(404, "not_found")
    house.postgres.audit.clear()
    token = new_token(Kind.OPERATOR)
    await knock(house, f"/ops/tokens/{token.text}")
    assert token.secret not in repr(the_row(house))


async def test_a_websocket_whose_row_cannot_be_written_is_told_so(
    house: Any, autojump_clock: Any
) -> None:
    failing(house, "note", None)
    told = await knock(house, "/ops/topology")
    assert told[0]["status"] == 503
    assert (await knock(house, "/v1/none"))[0]["status"] == 404


async def test_a_refused_call_names_who_proved_to_be_somebody(
    house: Any, autojump_clock: Any
) -> None:
    viewer = await house.operator(Role.VIEWER)
    await house.call("POST", "/ops/reshard", {"shard_count": 3}, viewer)
    await house.call("POST", "/ops/reshard", {"shard_count": 3}, new_token(Kind.OPERATOR).text)
    known, unknown = house.postgres.audit
    assert (known.call.actor, known.call.role) == (id_of(viewer), Role.VIEWER)
    assert (unknown.call.actor, unknown.call.role) == ("anybody", None)


async def test_no_secret_is_in_the_log(house: Any, autojump_clock: Any) -> None:
    admin = await house.operator()
    made = await (await house.call("POST", "/ops/tokens", {"role": "viewer"}, admin)).get_json()
    await house.call("GET", f"/ops/audit?cursor={made['token']}", token=made["token"])
    await house.call("GET", f"/ops/nothing?token={made['token']}", token=admin)
    text = repr(house.postgres.audit)
    assert made["token_id"] in text
    for token in (admin, made["token"]):
        assert token[21:] not in text


ADDRESSES = (
    ("GET", "/ops/{}"),
    ("GET", "/ops/{}/and/more"),
    ("DELETE", "/ops/tokens/{}"),
    ("POST", "/ops/agents/{}/kick"),
    ("POST", "/ops/agents/{}/mute"),
    ("POST", "/ops/shards/{}/drain"),
)
SECRETS = {
    "a signature": encode_base64url(bytes(range(7, 39))),
    "an e-mail": "ada.lovelace@example.org",
    "an e-mail, escaped": "ada.lovelace%40example.org",
    "an address": "203.0.113.77",
    "a longer address": "2001:db8::77:99",
    "a password in a URL": "postgresql://me:sword@db:5432/x",
}


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("role", [Role.ADMIN, Role.VIEWER, None])
async def test_no_token_in_an_address_is_in_the_log(
    house: Any, autojump_clock: Any, kind: Kind, role: Role | None
) -> None:
    """Where its id belongs, for one; and whoever it was that called."""
    caller = None if role is None else await house.operator(role)
    planted = [new_token(kind) for _ in range(2)]
    for token in planted:
        for method, path in ADDRESSES:
            for text in (token.text, token.text[:-1], token.text[1:], f"a {token.text}\n"):
                response = await house.call(
                    method, path.format(quote(text)), {"seconds": 60}, caller
                )
                assert response.status_code in (401, 403, 404)
    await _nothing_shows(house, [token.secret for token in planted])


@pytest.mark.parametrize("what", SECRETS)
async def test_no_secret_of_another_kind_in_an_address_is_in_the_log(
    house: Any, autojump_clock: Any, what: str
) -> None:
    admin = await house.operator()
    for method, path in ADDRESSES:
        await house.call(method, path.format(quote(SECRETS[what], safe="")), ..., admin)
    await _nothing_shows(house, [SECRETS[what], "sword"])


async def _nothing_shows(house: Any, secrets: list[str]) -> None:
    viewer = await house.operator(Role.VIEWER)
    answer = await house.call("GET", "/ops/audit?limit=500", token=viewer)
    told = await answer.get_data(as_text=True)
    assert HIDDEN in told
    for text in (told, repr(house.postgres.audit)):
        assert not [secret for secret in secrets if secret in text]


async def test_half_a_secret_at_the_end_of_a_long_address_is_not_in_the_log(
    house: Any, autojump_clock: Any
) -> None:
    """Nor is there more of an address than a row quotes."""
    secret = SECRETS["a signature"]
    for length in range(TARGET_CHARACTERS_MAX - len(secret), 8 * TARGET_CHARACTERS_MAX, 7):
        await house.call("GET", f"/ops/{'a.' * (length // 2)}/{secret}/b")
        await house.call("GET", f"/ops/tso_{'a' * length}/{secret}/b")
    for row in house.postgres.audit:
        assert secret[:6] not in row.call.action
        assert len(row.call.action) <= TARGET_CHARACTERS_MAX


def failing(house: Any, name: str, how: Exception | None) -> list[object]:
    """Let the operators' store fail at ``name``; returns what was tried."""
    tried: list[object] = []

    async def fail(*arguments: object, **_: object) -> None:
        tried.append(arguments)
        if how is None:
            await trio.sleep_forever()
        else:
            raise how

    setattr(house.outside.operators, name, fail)
    return tried


TROUBLES = [Unavailable("no"), InDoubt("perhaps"), None]


@pytest.mark.parametrize("how", TROUBLES, ids=["unavailable", "in-doubt", "hangs"])
async def test_a_call_whose_row_cannot_be_written_is_not_carried_out(
    house: Any, autojump_clock: Any, how: Exception | None
) -> None:
    ada, token = AgentId((await house.sign_up())["agent_id"]), await house.operator()
    await house.open_session((await house.sign_up("Bob"))["api_key"])
    tried = failing(house, "note", how)
    before = house.postgres.moderation, dict(house.postgres.banned), house.postgres.topologies
    for method, path, body in (
        ("POST", MUTE.format(ada), {"seconds": 60}),
        ("POST", f"/ops/agents/{ada}/ban", ...),
        ("PUT", "/ops/moderation/words", {"words": ["a"]}),
        ("POST", "/ops/reshard", {"shard_count": 7}),
        ("POST", "/ops/tokens", {"role": "admin"}),
        ("GET", "/ops/topology", ...),
        ("GET", "/ops/nothing", ...),
    ):
        tried.clear()
        response = await house.call(method, path, body, token)
        assert response.status_code == 503, path
        assert (await response.get_json(force=True))["code"] == "unavailable"
        assert len(tried) == 1, "one call is never two rows"
    assert (house.postgres.moderation, house.postgres.banned, house.postgres.topologies) == before
    assert len(house.postgres.operator_tokens) == 1


async def test_a_change_has_its_row_before_it_is_carried_out(
    house: Any, autojump_clock: Any
) -> None:
    token, rows = await house.operator(), []

    async def set_words(_words: object) -> None:
        rows.extend(house.postgres.audit)

    house.outside.operators.set_words = set_words
    await house.call("PUT", "/ops/moderation/words", {"words": []}, token)
    assert [row.outcome for row in rows] == [None]
    assert the_row(house).outcome == Outcome(200, "ok")


async def test_a_change_that_fails_is_on_record_as_failed(house: Any, autojump_clock: Any) -> None:
    token = await house.operator()
    failing(house, "set_words", InDoubt("perhaps"))
    response = await house.call("PUT", "/ops/moderation/words", {"words": []}, token)
    assert response.status_code == 503
    assert the_row(house).outcome == Outcome(503, "unavailable")


async def test_a_bug_is_on_record_as_ours(house: Any, autojump_clock: Any) -> None:
    token = await house.operator()
    failing(house, "set_words", ZeroDivisionError())
    response = await house.call("PUT", "/ops/moderation/words", {"words": []}, token)
    assert response.status_code == 500
    assert the_row(house).outcome == Outcome(500, "internal")


async def test_who_hangs_up_meanwhile_does_not_leave_half_of_it(
    house: Any, autojump_clock: Any
) -> None:
    token, done = await house.operator(), []

    async def set_words(words: object) -> None:
        await trio.sleep(1)
        done.append(words)

    house.outside.operators.set_words = set_words
    with trio.move_on_after(0.5):
        await house.call("PUT", "/ops/moderation/words", {"words": ["a"]}, token)
    assert done == [["a"]]
    assert the_row(house).outcome == Outcome(200, "ok")


async def test_an_outcome_that_cannot_be_written_is_tried_again_and_then_unknown(
    house: Any, autojump_clock: Any
) -> None:
    token = await house.operator()
    tried = failing(house, "conclude", Unavailable("no"))
    response = await house.call("PUT", "/ops/moderation/words", {"words": ["a"]}, token)
    assert response.status_code == 200  # It was done, and it has its row.
    assert len(tried) == 3
    rows = await (await house.call("GET", "/ops/audit", token=token)).get_json()
    assert [(row["result"], row["status"]) for row in rows["items"]] == [("unknown", None)]
