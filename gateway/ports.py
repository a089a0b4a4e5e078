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

    async def revoke(self, agent: AgentId, key_id: str, at: datetime) -> Sequence[SessionId] | None:
        """Revoke the key and end its live sessions, which are returned.

        None when ``agent`` has no such key.
        """

    async def open_session(self, session: Session) -> Sequence[SessionId]:
        """Store ``session`` as the agent's one live session; return those that it ended."""

    async def session(self, session: SessionId) -> Session | None: ...

    async def end_session(self, session: SessionId, at: datetime) -> bool:
        """False when it had ended already."""

    async def offer_resume(self, session: SessionId, used: bytes | None, fresh: bytes) -> bool:
        """Make ``fresh`` the session's unconfirmed resume token.

        ``used`` is the token that the client came with, None when it brought none. False, and
        nothing changed, when ``used`` is neither the confirmed nor the unconfirmed one.
        """

    async def confirm_resume(self, session: SessionId, fresh: bytes) -> None:
        """From now on only ``fresh`` is good, if it is still the unconfirmed one."""

    async def history(self, session: SessionId, after_seq: int) -> Sequence[SessionLine]:
        """Every accepted ack and recorded result after ``after_seq``, in order of seq."""

    async def known(self, session: SessionId, id: CommandId) -> Known | None:
        """What was answered to a command before."""

    async def ping(self) -> None: ...


class Clock(Protocol):
    """The time of day. Durations come from trio's own clock."""

    def now(self) -> datetime:
        """Aware, UTC."""

    def now_ms(self) -> int:
        """Unix time."""
