"""The audit log: every call under ``/ops/`` is one row of it, or is not carried out.

A call that changes something has its row before that (``on_record``), and its outcome after it,
also when its client goes meanwhile. All other calls, refused ones too, have their row before they
are answered (``record``). It is 503 if there can be no row: then nothing was done, and nothing is
told. The page itself, ``/ops/``, is no call. What a row quotes of an address is masked, because any
viewer may read it and nobody can delete it: people put a whole token where its id belongs.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import structlog
import trio
from quart import Response, g, request

from common.errors import Trouble
from common.limits import (
    ANSWER_SECONDS_MAX,
    POSTGRES_SECONDS_MAX,
    RETRIES_MAX,
    TARGET_CHARACTERS_MAX,
)
from common.masking import mask
from common.operators import ANYBODY, Call, OperatorToken, Outcome
from gateway.http.outside import Outside
from gateway.http.problems import Problem, unavailable
from gateway.http.route import Ask, Route

log = structlog.get_logger(__name__)

Handle = Callable[[Ask[Any, Any]], Awaitable[Any]]

_PAGE = ("/ops", "/ops/")
_PAUSE_SECONDS = 0.1  # Between two tries to write how a call ended.
_LOOKED_AT_CHARACTERS_MAX = 8 * TARGET_CHARACTERS_MAX  # Masking takes some microseconds for each.


def on_record(
    handle: Handle,
    statuses: dict[type, int],
    target: Callable[[Ask[Any, Any]], str],
    naming: Callable[[Ask[Any, Any]], Ask[Any, Any]],
) -> Handle:
    """Carry out ``handle``, whose answers have ``statuses``, only with a row in the audit log.

    ``naming`` puts the id of what it is about into the ask, if that is not yet in its path;
    ``target`` is what the row says of it.
    """

    @functools.wraps(handle)
    async def handle_on_record(ask: Ask[Any, Any]) -> Any:
        ask = naming(ask)
        # Who hangs up must not leave a half of it, nor a row without its outcome.
        with trio.CancelScope(shield=True):
            g.is_recorded = True  # Or may be: there is no second row, whatever happens.
            with trio.fail_after(POSTGRES_SECONDS_MAX):
                id = await ask.outside.operators.note(_call(ask.outside, target(ask)), None)
            outcome = Outcome(500, "internal")
            try:
                with trio.fail_after(ANSWER_SECONDS_MAX):
                    answer = await handle(ask)
                outcome = _outcome(answer, statuses)
            except (Trouble, trio.TooSlowError):
                problem = unavailable()
                outcome = Outcome(problem.status, problem.code)
                raise
            finally:
                await _conclude(ask.outside, id, outcome)
        return answer

    return handle_on_record


async def record(outside: Outside, response: Response) -> Problem | None:
    """Write the row of the call that ``response`` answers, if it has none and needs one.

    Return the problem to answer with instead when that can't be done.
    """
    if not _is_ours(request.path) or getattr(g, "is_recorded", False):
        return None
    if request.path in _PAGE and response.status_code < 400:
        return None
    named = next(iter((request.view_args or {}).values()), "")
    outcome = Outcome(response.status_code, getattr(g, "refused_with", "ok"))
    return await _note(outside, _call(outside, named), outcome)


async def record_upgrade(
    outside: Outside, path: str, trace_id: str, answer: Problem
) -> Problem | None:
    """The same for a WebSocket: there is none for operators, and whoever asks is not looked at."""
    if not _is_ours(path):
        return None
    now, action = outside.clock.now(), _quoted(f"GET {path}")
    call = Call(now, ANYBODY, None, action, "WebSocket", trace_id)
    return await _note(outside, call, Outcome(answer.status, answer.code))


def _is_ours(path: str) -> bool:
    return path == "/ops" or path.startswith("/ops/")


async def _note(outside: Outside, call: Call, outcome: Outcome) -> Problem | None:
    try:
        with trio.CancelScope(shield=True), trio.fail_after(POSTGRES_SECONDS_MAX):
            await outside.operators.note(call, outcome)
    except (Trouble, trio.TooSlowError) as trouble:
        log.warning("call_not_recorded", trace_id=call.trace_id, trouble=str(trouble))
        return unavailable()
    return None


def _call(outside: Outside, target: str) -> Call:
    operator: OperatorToken | None = getattr(g, "operator", None)
    rule = request.url_rule.rule if request.url_rule else request.path
    path = rule.replace("<", "{").replace(">", "}")
    return Call(
        outside.clock.now(),
        operator.token_id if operator else ANYBODY,
        operator.role if operator else None,
        _quoted(f"{request.method} {path}"),
        _quoted(target),
        g.trace_id,
    )


def _quoted(text: str) -> str:
    """Return ``text`` from outside as a log can have it: no secret, not long, nothing but text."""
    shown = mask(text[:_LOOKED_AT_CHARACTERS_MAX])
    if len(text) > _LOOKED_AT_CHARACTERS_MAX:
        shown = shown[:-TARGET_CHARACTERS_MAX]  # Half a secret does not look like one.
    shown = shown[:TARGET_CHARACTERS_MAX]
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in shown)


def _outcome(answer: object, statuses: dict[type, int]) -> Outcome:
    if isinstance(answer, Problem):
        return Outcome(answer.status, answer.code)
    return Outcome(statuses[type(answer)], "ok")


async def _conclude(outside: Outside, id: int, outcome: Outcome) -> None:
    """Or leave the row without: it says that nobody knows, which by then is true."""
    for attempt in range(RETRIES_MAX):
        with contextlib.suppress(Trouble), trio.move_on_after(POSTGRES_SECONDS_MAX / RETRIES_MAX):
            await outside.operators.conclude(id, outcome)
            return
        await trio.sleep(_PAUSE_SECONDS * 2**attempt)
    log.error("outcome_not_recorded", trace_id=g.trace_id, row=id, result=outcome.result)


def recorded(
    route: Route[Any, Any],
    target: Callable[[Ask[Any, Any]], str] = lambda ask: ask.named,
    naming: Callable[[Ask[Any, Any]], Ask[Any, Any]] = lambda ask: ask,
) -> Route[Any, Any]:
    """``route``, which changes something, on record."""
    handle = on_record(route.handle, dict(route.answers), target, naming)
    return attrs.evolve(route, handle=handle)
