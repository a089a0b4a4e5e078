"""The HTTP app: it puts the routes of its neighbours behind one way of asking and answering.

It starts no task and keeps no state. Every answer carries ``X-Trace-Id``; every refusal, also of
what no route has seen, is a problem of RFC 9457; no traceback ever leaves the process.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import structlog
import trio
from quart import Response, g, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from common import wire
from common.errors import Trouble
from common.limits import ANSWER_SECONDS_MAX, BODY_BYTES_MAX, BODY_SECONDS_MAX
from common.refusals import ProblemCode
from common.traces import Span, Spans, is_sampled
from gateway import access_log
from gateway.address import client_address
from gateway.http import agents, health, keys, sessions, signup, upgrades, world
from gateway.http.bodies import read_body
from gateway.http.exchange import Exchange
from gateway.http.outside import Outside
from gateway.http.pages import Page, read_pages
from gateway.http.problems import Problem, details_of, unavailable
from gateway.http.route import Ask, Done, Route
from gateway.http.specs import spec_pages
from gateway.http.tracing import call_of
from gateway.metrics import HTTP_ANSWERS, HTTP_SECONDS
from gateway.ops.record import record
from gateway.ops.routes import operator_routes

log = structlog.get_logger(__name__)

View = Callable[..., Awaitable[Response]]

_FAILED = 500  # From here on it is our fault.


def make_app(outside: Outside) -> QuartTrio:
    app = _App("gateway.http", static_folder=None)
    app.asgi_http_class = Exchange
    app.config.update(MAX_CONTENT_LENGTH=BODY_BYTES_MAX, BODY_TIMEOUT=BODY_SECONDS_MAX)
    app.url_map.merge_slashes = False  # An address has one spelling; the others are 404.
    routes = all_routes(outside)
    for route in routes:
        app.add_url_rule(
            _rule(route.path),
            f"{route.method} {route.path}",
            _view_of(route, outside),
            methods=[route.method],
        )
    for page in (*read_pages(), *spec_pages(routes)):
        app.add_url_rule(
            page.path,
            page.path,
            _view_of_page(page),
            methods=["GET"],
            strict_slashes=page.path != "/ops/",  # People type it without.
        )
    # Shown from the start, so that the first mistake is seen to be one more than none.
    for rule in (access_log.NO_ROUTE, *(one.rule for one in app.url_map.iter_rules())):
        HTTP_ANSWERS.labels(rule, str(_FAILED))
    app.register_error_handler(HTTPException, _on_http_exception)
    app.register_error_handler(Trouble, _on_trouble)
    app.register_error_handler(trio.TooSlowError, _on_trouble)
    app.register_error_handler(Exception, _on_bug)
    app.before_request(partial(_begin, outside.spans))
    app.after_request(partial(_finish, outside))
    return app


class _App(QuartTrio):
    async def make_default_options_response(self) -> Response:
        """Answer ``OPTIONS``: ``Allow``, and nothing else to say."""
        response = await super().make_default_options_response()
        response.status_code = 204
        return response


def all_routes(outside: Outside) -> tuple[Route[Any, Any], ...]:
    return (
        *signup.ROUTES,
        *keys.ROUTES,
        *sessions.ROUTES,
        *agents.ROUTES,
        *world.world_routes(outside),
        *health.ROUTES,
        *upgrades.ROUTES,
        *operator_routes(),
    )


def _rule(path: str) -> str:
    """Werkzeug writes ``<key_id>`` for what OpenAPI and we write ``{key_id}``."""
    return path.replace("{", "<").replace("}", ">")


def _view_of(route: Route[Any, Any], outside: Outside) -> View:
    async def view(**named: str) -> Response:
        with outside.spans.within(g.call.trace):
            answer = await _carry_out(route, outside, next(iter(named.values()), ""))
        if isinstance(answer, Problem):
            return _refusal(answer)
        status = route.answers[type(answer)]
        if isinstance(answer, Done):
            return Response(b"", status)
        return Response(wire.encode(answer), status, content_type="application/json")

    return view


async def _carry_out(route: Route[Any, Any], outside: Outside, named: str) -> object:
    with trio.fail_after(ANSWER_SECONDS_MAX):
        caller = await route.caller(outside, _authorization())
    if isinstance(caller, Problem):
        return caller
    body = None if route.body is type(None) else await read_body(request, route.body)
    if isinstance(body, Problem):
        return body
    address = client_address(request.scope, outside.settings.trusted_proxies)
    with trio.fail_after(ANSWER_SECONDS_MAX):
        query = dict(request.args.lists())
        return await route.handle(Ask(outside, caller, body, named, address, query))


def _authorization() -> str:
    values = request.headers.getlist("Authorization")
    return values[0] if len(values) == 1 else ""  # Which of two should count is anybody's guess.


def _view_of_page(page: Page) -> View:
    async def view() -> Response:
        headers = {"ETag": f'"{page.etag}"', "Cache-Control": "no-cache"}
        if request.if_none_match.contains_weak(page.etag):
            return Response(b"", 304, headers)
        if page.policy:
            headers["Content-Security-Policy"] = page.policy
        return Response(page.data, 200, headers, content_type=page.content_type)

    return view


async def _begin(spans: Spans) -> None:
    g.call = call_of(request.headers.get("traceparent", ""), spans.sampling)
    g.trace_id = g.call.trace_id
    # Of this request's task, and so of all that is logged on its way.
    structlog.contextvars.bind_contextvars(trace_id=g.trace_id)
    g.began, g.began_ns = trio.current_time(), spans.now_ns()


async def _finish(outside: Outside, response: Response) -> Response:
    if (unrecorded := await record(outside, response)) is not None:
        response = _refusal(unrecorded)
    response.headers["X-Trace-Id"] = g.trace_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers.setdefault("Cache-Control", "no-store")
    if response.status_code in (204, 304):
        response.headers.pop("Content-Type", None)
        response.headers.pop("Content-Length", None)
    if not request.http_version.startswith("1"):
        for name in ("Connection", "Upgrade"):  # HTTP/2 knows none of these.
            response.headers.pop(name, None)
    rule = request.url_rule.rule if request.url_rule else access_log.NO_ROUTE
    access_log.note_route(request.scope, rule)
    spans = outside.spans
    if spans.is_on and is_sampled(g.call.trace):
        spans.record(_span(rule, response.status_code, spans.now_ns()))
    HTTP_ANSWERS.labels(rule, str(response.status_code)).inc()
    HTTP_SECONDS.labels(rule).observe(trio.current_time() - g.began)
    return response


def _span(rule: str, status: int, ended_ns: int) -> Span:
    method = access_log.known_method(request.method)
    return Span(
        f"{method} {rule}",
        "server",
        g.began_ns,
        ended_ns,
        g.call.parent,
        g.call.trace,
        {
            "http.request.method": method,
            "http.route": rule,
            "http.response.status_code": status,
        },
        has_failed=status >= _FAILED,
    )


def _refusal(problem: Problem, more: Mapping[str, str] | None = None) -> Response:
    g.refused_with = problem.code
    return Response(
        wire.encode(details_of(problem, g.trace_id)),
        problem.status,
        {**problem.headers, **(more or {})},
        content_type="application/problem+json",
    )


_BY_STATUS: Mapping[int, tuple[ProblemCode, str]] = {
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address has no such method; Allow names those it has."),
    408: ("request_timeout", f"The body did not come within {BODY_SECONDS_MAX:g} s."),
    413: ("too_large", f"A body has at most {BODY_BYTES_MAX} bytes."),
}


async def _on_http_exception(error: HTTPException) -> Response:
    """What Werkzeug and Quart refuse by themselves, before or while a route is found."""
    if error.code is None or error.code not in _BY_STATUS:
        return await _on_bug(error)
    allow = {name: value for name, value in error.get_headers() if name == "Allow"}
    return _refusal(Problem(*_BY_STATUS[error.code]), allow)


async def _on_trouble(trouble: Exception) -> Response:
    method = access_log.known_method(request.method)
    log.warning("call_unavailable", trace_id=g.trace_id, method=method, trouble=repr(trouble))
    return _refusal(unavailable())


async def _on_bug(error: Exception) -> Response:
    log.error(
        "call_failed",
        trace_id=g.trace_id,
        method=access_log.known_method(request.method),
        route=request.url_rule.rule if request.url_rule else access_log.NO_ROUTE,
        exc_info=error,
    )
    return _refusal(Problem("internal", "This is our mistake; its trace_id finds it in our log."))
