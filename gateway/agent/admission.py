"""Let an agent in: from the request to the moment when its WebSocket may be accepted.

It sends nothing to the client and accepts nothing. What it returns is an Admitted, or the Problem
that refuses the upgrade. Trouble goes to the caller, who says ``unavailable``; so does whatever
takes longer than the caller's deadline.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
import trio

from common.accounts import Account, Session
from common.bus import Binding, Offer
from common.envelopes import (
    AckLine,
    Attach,
    Attached,
    AttachRefused,
    Replaced,
    SessionEnded,
    SessionLine,
)
from common.errors import Trouble, Unavailable
from common.frames import Position
from common.grid import CommandId, SessionId
from common.limits import ATTACH_SECONDS_MAX, REOFFER_SECONDS, RETRY_AFTER_MS
from common.tokens import Kind, Token, new_token, parse_token
from gateway.access import session_of
from gateway.agent.docket import Docket, resumed_docket
from gateway.agent.knock import Knock, Resume
from gateway.agent.lines import unbroken, wait_lines
from gateway.agent.outside import Outside, ask_postgres, ask_redis
from gateway.http.problems import BANNED, Problem
from gateway.switchboard import SessionMessage

UNAUTHORIZED = Problem("unauthorized", "Send the token of a live session: Bearer <session_token>.")
_REFUSED = Problem("resume_refused", "This can't be resumed; open a new session.")
SUPERSEDED = Problem("resume_refused", "Another connection took the session over meanwhile.")
_NO_ROOM = Problem("unavailable", "No shard could place the agent now; try again.", RETRY_AFTER_MS)


@attrs.frozen
class Admitted:
    """``lines`` are to be told first, ``fresh`` is the resume token that counts from now on."""

    session: Session
    account: Account
    attached: Attached
    docket: Docket
    lines: Sequence[SessionLine]
    fresh: Token
    cooldown_ms: int
    resume: Resume | None


@attrs.frozen
class Visitor:
    """Who may try to come in; ``fresh`` is the resume token to be used next time."""

    session: Session
    fresh: Token


async def identify(knock: Knock, outside: Outside) -> Visitor | Problem:
    session = await ask_postgres(session_of(knock.token, outside.accounts, outside.clock))
    if session == "banned":
        return BANNED
    if session == "unauthorized":
        return UNAUTHORIZED
    fresh = await _renew(knock.resume, session, outside)
    return fresh if isinstance(fresh, Problem) else Visitor(session, fresh)


async def _renew(resume: Resume | None, session: Session, outside: Outside) -> Token | Problem:
    """Check what is to be resumed, if anything, and return a fresh resume token."""
    present = await ask_redis(outside.bus.is_present(session.session))
    used = None
    if resume is not None:
        token = parse_token(Kind.RESUME, resume.token)
        if token is None or not present or not await _may_resume(resume, session, outside):
            return _REFUSED
        used = token.hash
    elif not present:
        # Its agent has left the world, and a session begins there only once.
        await ask_postgres(outside.accounts.end_session(session.session, outside.clock.now()))
        return UNAUTHORIZED
    fresh = new_token(Kind.RESUME)
    offered = outside.accounts.offer_resume(session.session, used, fresh.hash)
    if await ask_postgres(offered):
        return fresh
    return UNAUTHORIZED if used is None else _REFUSED  # It ended just now, or the token is spent.


async def _may_resume(resume: Resume, session: Session, outside: Outside) -> bool:
    """Whether the client can have heard ``last_seq``."""
    last_seq = resume.last_seq
    if not last_seq:
        return last_seq == 0
    if await ask_redis(outside.bus.lines_after(session.session, last_seq - 1)):
        return True
    return bool(await ask_postgres(outside.accounts.history(session.session, last_seq - 1)))


async def bind(visitor: Visitor, outside: Outside) -> Binding:
    return await ask_redis(outside.bus.bind(visitor.session.session, outside.gateway))


@asynccontextmanager
async def released(session: SessionId, binding: Binding, outside: Outside) -> AsyncIterator[None]:
    """Say so when the connection of ``binding`` is over, however that comes about."""
    try:
        yield
    finally:
        # A gateway that stops has thousands to release at once; their presence runs out anyway.
        if not outside.stop.is_set():
            with trio.CancelScope(shield=True), contextlib.suppress(Trouble):
                await ask_redis(outside.bus.release(session, binding.connection))


async def enter(
    resume: Resume | None,
    visitor: Visitor,
    binding: Binding,
    channel: trio.MemoryReceiveChannel[SessionMessage],
    outside: Outside,
) -> Admitted | Problem:
    """Bring the agent into the world, if it is not there yet, and find what is to be told."""
    session = visitor.session
    account = await ask_postgres(outside.accounts.account(session.agent))
    # It may have ended before we were bound to it, and then nobody told us.
    latest = await ask_postgres(outside.accounts.session(session.session))
    if account is None or latest is None or not latest.is_live(outside.clock.now()):
        return UNAUTHORIZED
    if visitor.fresh.hash not in latest.resume_hashes:
        # Offers and bindings are made in any order: the client that we have just taken the session
        # from was heard after the one and before the other, and its token alone was left.
        offered = outside.accounts.offer_resume(session.session, None, visitor.fresh.hash)
        await ask_postgres(offered)
    kept = list(await ask_redis(outside.bus.lines_after(session.session, 0)))
    refused: list[AckLine] = []
    attached = await _attach(session, account, binding, channel, refused, outside)
    if isinstance(attached, Problem):
        return attached
    if began_anew(attached, _last_seq(kept)):
        return UNAUTHORIZED if resume is None else _REFUSED
    kept += await ask_redis(outside.bus.lines_after(session.session, _last_seq(kept)))
    docket, lines = await _read_lines(resume, session.session, attached, kept, outside)
    docket.expect(_still_under_way(binding, kept, refused))
    cooldown_ms = await ask_redis(outside.bus.cooldown_ms(session.agent))
    return Admitted(session, account, attached, docket, lines, visitor.fresh, cooldown_ms, resume)


def began_anew(attached: Attached, known_seq: int) -> bool:
    """Whether the agent had left the world, so that its session's numbers would begin again.

    ``known_seq`` must have been known before ``attached`` was asked for: a shard answers with a
    seq that counts every line it has sent before.
    """
    return attached.seq == 0 < known_seq


def _last_seq(lines: Sequence[SessionLine]) -> int:
    return lines[-1].seq or 0 if lines else 0


def attach_of(session: Session, account: Account, outside: Outside) -> Attach:
    at = None if account.x is None or account.y is None else Position(account.x, account.y)
    return Attach(session.session, session.agent, account.name, account.chunk, outside.gateway, at)


async def _attach(
    session: Session,
    account: Account,
    binding: Binding,
    channel: trio.MemoryReceiveChannel[SessionMessage],
    refused: list[AckLine],
    outside: Outside,
) -> Attached | Problem:
    message = attach_of(session, account, outside)
    with trio.move_on_after(ATTACH_SECONDS_MAX):
        while True:
            with trio.move_on_after(REOFFER_SECONDS):
                slot = outside.routes.slot(message.chunk)
                with contextlib.suppress(Trouble):
                    await outside.courier.offer(Offer(slot=slot, message=message))
                return await _answer(binding, channel, refused)
    return _NO_ROOM


async def _answer(
    binding: Binding, channel: trio.MemoryReceiveChannel[SessionMessage], refused: list[AckLine]
) -> Attached | Problem:
    """Wait for the shard; numbered lines that come meanwhile are read again later, in order."""
    async for message in channel:
        match message:
            case Attached():
                return message
            case AttachRefused():
                return _NO_ROOM
            case AckLine(seq=None):
                refused.append(message)
            case SessionEnded():
                return UNAUTHORIZED
            case Replaced() if message.connection == binding.connection:
                return SUPERSEDED
            case _:
                pass
    raise Unavailable("too much was heard for this session at once; try again")


async def _read_lines(
    resume: Resume | None,
    session: SessionId,
    attached: Attached,
    kept: Sequence[SessionLine],
    outside: Outside,
) -> tuple[Docket, Sequence[SessionLine]]:
    """Return the docket as the client knows it, and the lines that it is to be told."""
    lines: Sequence[SessionLine] = ()
    if resume is None:
        after = max(attached.seq, _last_seq(kept))
    else:
        assert resume.last_seq is not None, "what is no number was refused"
        after = resume.last_seq
        lines = await wait_lines(outside, session, after, attached.seq)
    before = [line for line in kept if (line.seq or 0) <= after]
    complete = unbroken(before, 0) >= after
    return resumed_docket(after, before, complete, attached.in_flight), lines


def _still_under_way(
    binding: Binding, kept: Sequence[SessionLine], refused: Sequence[AckLine]
) -> dict[CommandId, int]:
    """What nobody has decided on since we were bound; what was refused may be offered anew."""
    accepted = {line.id for line in kept}
    over = {(line.id, line.expires_at_ms) for line in refused}
    return {
        id: expires_at_ms
        for id, expires_at_ms in binding.under_way.items()
        if id not in accepted and (id, expires_at_ms) not in over
    }
