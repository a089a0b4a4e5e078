"""What the gateway needs from outside, in its own words.

Protocols only. Real and in-memory adapters live in ``common.adapters`` and keep one set of
contract tests. Every call may raise Unavailable or InDoubt (``common.errors``) and nothing
else; none retries by itself. The caller bounds how long it waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Literal, Protocol

import trio

from common.accounts import Account, ApiKey, Session
from common.bus import Binding, Delta, GatewayBeat, Inbound, Offer, Verdict, WorldCounts
from common.envelopes import SessionLine
from common.grid import AgentId, ChunkId, CommandId, GatewayId, SessionId, Slot, Tick
from common.journal import Known, World
from common.operators import (
    Audited,
    Call,
    KeptAgent,
    Moderation,
    OperatorToken,
    Outcome,
    OwnedChunk,
)
from common.topology import Survey, Topologies, Topology


class Bus(Protocol):
    """Redis, for a gateway."""

    async def offer(self, offers: Sequence[Offer]) -> Sequence[Verdict]:
        """Carry out all offers in one call; one verdict each, in order."""

    def inbound(
        self, gateway: GatewayId
    ) -> AbstractAsyncContextManager[trio.MemoryReceiveChannel[Inbound]]:
        """Messages to ``gateway`` and deltas of watched chunks, in order of publication.

        Reconnects by itself and says Restored each time it did. At most INBOUND_MAX wait.
        """

    async def watch(self, chunk: ChunkId) -> None:
        """Deltas of ``chunk`` published after this returns arrive in ``inbound``."""

    async def unwatch(self, chunk: ChunkId) -> None: ...

    async def deltas_after(self, chunk: ChunkId, tick: Tick) -> Sequence[Delta] | None:
        """Every delta with a later tick, in order; None when some are no longer kept.

        None as well when the stream's oldest kept delta names a prev_tick later than ``tick``.
        """

    async def bind(self, session: SessionId, gateway: GatewayId) -> Binding:
        """Make ``gateway`` the one that serves ``session``, and the session present.

        No earlier connection can offer commands of it any more. The gateway that served it hears
        Replaced with the old number (also when it is this one).
        """

    async def release(self, session: SessionId, connection: int) -> None:
        """The connection is lost: presence runs out in RESUME_MS, if it is still this one."""

    async def refresh(
        self, gateway: GatewayId, connections: Sequence[tuple[SessionId, int]]
    ) -> Sequence[SessionId]:
        """Presence of the sessions that ``gateway`` serves lasts PRESENCE_MS from now.

        Return those whose binding Redis had lost: they are bound again, under the same number, and
        may have been told nothing for a while. One that has a later connection by now is left to
        it, and ``gateway`` hears Replaced with the number it gave.
        """

    async def is_present(self, session: SessionId) -> bool:
        """False once its presence ran out. True when Redis knows nothing: it may have lost it."""

    async def end(self, session: SessionId, replaced: bool) -> None:
        """Tell the gateway that serves ``session`` SessionEnded, and forget its binding."""

    async def lines_after(self, session: SessionId, seq: int) -> Sequence[SessionLine]:
        """What the session's stream keeps after ``seq``, in order. There may be a gap before it."""

    async def strike(self, agent: AgentId, kind: Literal["invalid", "expired"]) -> bool:
        """Count a bad answer; True when that filled the counter and started a cooldown."""

    async def forgive(self, agent: AgentId) -> None:
        """Reset both counters: a command was accepted."""

    async def cooldown_ms(self, agent: AgentId) -> int:
        """How much longer ``agent`` may not command; 0 when it may."""

    async def watching(self, chunks: Iterable[ChunkId]) -> None:
        """Somebody watches ``chunks`` at this moment: they are not to be collected for a while."""

    async def beat(self, gateway: GatewayId, beat: GatewayBeat) -> None: ...

    async def counts(self) -> WorldCounts: ...

    async def survey(self) -> Survey:
        """Which slots and shard processes there are, and how they are doing."""

    async def drain(self, slot: Slot) -> bool:
        """Tell the process that holds ``slot`` to hand over all that it has, and to end.

        False: nobody holds it.
        """

    async def news(self, after: str, wait_ms: int) -> str:
        """The position of the last news ("0": before any): look at the topology.

        Waits up to ``wait_ms`` for some after ``after``, and then returns that.
        """

    async def announce(self) -> None:
        """Have everybody look at the topology."""

    async def ping(self) -> None: ...


class Accounts(Protocol):
    """PostgreSQL, for a gateway."""

    async def world(self) -> World: ...

    async def topologies(self) -> Topologies: ...

    async def ask_reshard(self, shard_count: int) -> Topology:
        """Want so many slots, in place of what was wanted before.

        Returns the topology that will be in force; the one that is, or is wanted, when it has that
        count. It comes into force once each of its slots is held. ``Bus.announce`` hurries that.
        """

    async def create(self, account: Account, key: ApiKey) -> None:
        """Or ``common.accounts.NameTaken``."""

    async def account(self, agent: AgentId) -> Account | None: ...

    async def add_key(self, key: ApiKey) -> None: ...

    async def key(self, key_id: str) -> ApiKey | None: ...

    async def keys(self, agent: AgentId) -> Sequence[ApiKey]:
        """Oldest first, the revoked ones too."""

    async def used(self, key_id: str, at: datetime) -> None: ...

    async def rehash(self, key_id: str, secret_hash: bytes) -> None: ...

    async def revoke(self, agent: AgentId, key_id: str, at: datetime) -> Sequence[SessionId] | None:
        """Revoke the key and end its live sessions, which are returned.

        None when ``agent`` has no such key.
        """

    async def open_session(self, session: Session) -> Sequence[SessionId]:
        """Store ``session`` as the agent's one live session; return those that it ended.

        With a key that was revoked meanwhile, or for an agent that was banned, it is over already.
        """

    async def session(self, session: SessionId) -> Session | None: ...

    async def end_session(self, session: SessionId, at: datetime) -> bool:
        """False when it had ended already."""

    async def offer_resume(self, session: SessionId, used: bytes | None, fresh: bytes) -> bool:
        """Offer ``fresh`` as a resume token, beside those that are offered and not confirmed.

        Beyond RESUME_OFFERS_MAX the oldest of those is forgotten. ``used`` is the token that the
        client came with, None when it brought none. False, and nothing changed, when ``used`` is
        neither the confirmed nor an offered one.
        """

    async def confirm_resume(self, session: SessionId, fresh: bytes) -> bool:
        """From now on only ``fresh`` is good. False, and nothing changed, if it is not any more.

        Once it is the confirmed one, to confirm it again leaves what was offered since.
        """

    async def history(self, session: SessionId, after_seq: int) -> Sequence[SessionLine]:
        """Every accepted ack and recorded result after ``after_seq``, in order of seq."""

    async def known(self, session: SessionId, id: CommandId) -> Known | None:
        """What was answered to a command before."""

    async def ping(self) -> None: ...


class Operators(Protocol):
    """PostgreSQL, for operators' calls and for what agents hear of them."""

    async def token(self, token_id: str) -> OperatorToken | None: ...

    async def tokens(self) -> Sequence[OperatorToken]:
        """Oldest first, the revoked ones too."""

    async def add_token(self, token: OperatorToken) -> None: ...

    async def rehash(self, token_id: str, secret_hash: bytes) -> None: ...

    async def revoke(self, token_id: str, at: datetime) -> bool:
        """False when there is no such token; one that was revoked before stays as it is."""

    async def note(self, call: Call, outcome: Outcome | None) -> int:
        """Add a row to the audit log, for good, and return its id.

        Without an outcome: the call is about to be carried out.
        """

    async def conclude(self, id: int, outcome: Outcome) -> None:
        """Say how the call of row ``id`` ended, once; the row itself stays as it is."""

    async def audit(
        self, before: int | None, limit: int, *, changes_only: bool = False
    ) -> Sequence[Audited]:
        """The newest rows with a lower id than ``before``, newest first.

        ``changes_only``: without those of GETs.
        """

    async def mute(self, agent: AgentId, until: datetime) -> bool:
        """``agent`` may say nothing until then. False when there is no such agent."""

    async def unmute(self, agent: AgentId) -> bool: ...

    async def kick(self, agent: AgentId, at: datetime) -> Sequence[SessionId] | None:
        """End the live session of ``agent``. None: there is no such agent.

        Returns its latest session, which is to be told; also when it was over before, because who
        told it then may have failed.
        """

    async def ban(self, agent: AgentId, at: datetime) -> Sequence[SessionId] | None:
        """As ``kick``, and no session of ``agent`` lives from now on."""

    async def unban(self, agent: AgentId) -> bool: ...

    async def set_words(self, words: Sequence[str]) -> None: ...

    async def moderation(self, known: int) -> Moderation | None:
        """What holds now, None when that is what version ``known`` says."""

    async def agents(
        self, after: AgentId | None, limit: int, name: str | None = None
    ) -> Sequence[KeptAgent]:
        """In order of id, those after ``after``; with a ``name`` (in any case) only that one."""

    async def chunks(self, after: ChunkId | None, limit: int) -> Sequence[OwnedChunk]:
        """Those that live, in an order of their own, those after ``after``."""


class Clock(Protocol):
    """The time of day. Durations come from trio's own clock."""

    def now(self) -> datetime:
        """Aware, UTC."""

    def now_ms(self) -> int:
        """Unix time."""
