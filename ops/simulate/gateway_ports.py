"""A gateway's ports, through its cable; and its clock, which may be wrong.

They decide nothing. The subscription does not go through the cable: see ``servers``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Literal

import attrs
import trio

from common.accounts import Account, ApiKey, Session
from common.adapters.clock import TrioClock
from common.bus import Binding, Delta, GatewayBeat, Inbound, Offer, Verdict, WorldCounts
from common.envelopes import SessionLine
from common.grid import AgentId, ChunkId, CommandId, GatewayId, SessionId, Slot, Tick
from common.journal import Known, World
from common.topology import Survey, Topologies, Topology
from gateway.ports import Accounts, Bus
from ops.simulate.network import Cable


class WallClock(TrioClock):
    """Wrong by ``off_ms``, which may change at any moment."""

    off_ms: int = 0

    def now(self) -> datetime:
        return super().now() + timedelta(milliseconds=self.off_ms)


@attrs.frozen(eq=False)
class CableGatewayBus:
    _bus: Bus
    _cable: Cable

    async def offer(self, offers: Sequence[Offer]) -> Sequence[Verdict]:
        return await self._cable.call(lambda: self._bus.offer(offers), may_repeat=True)

    def inbound(
        self, gateway: GatewayId
    ) -> AbstractAsyncContextManager[trio.MemoryReceiveChannel[Inbound]]:
        return self._bus.inbound(gateway)

    async def watch(self, chunk: ChunkId) -> None:
        await self._cable.call(lambda: self._bus.watch(chunk), may_outlive=False)

    async def unwatch(self, chunk: ChunkId) -> None:
        await self._bus.unwatch(chunk)

    async def deltas_after(self, chunk: ChunkId, tick: Tick) -> Sequence[Delta] | None:
        return await self._cable.call(lambda: self._bus.deltas_after(chunk, tick))

    async def bind(self, session: SessionId, gateway: GatewayId) -> Binding:
        return await self._cable.call(lambda: self._bus.bind(session, gateway))

    async def release(self, session: SessionId, connection: int) -> None:
        await self._cable.call(lambda: self._bus.release(session, connection))

    async def refresh(
        self, gateway: GatewayId, connections: Sequence[tuple[SessionId, int]]
    ) -> Sequence[SessionId]:
        return await self._cable.call(lambda: self._bus.refresh(gateway, connections))

    async def is_present(self, session: SessionId) -> bool:
        return await self._cable.call(lambda: self._bus.is_present(session))

    async def end(self, session: SessionId, replaced: bool) -> None:
        await self._cable.call(lambda: self._bus.end(session, replaced))

    async def lines_after(self, session: SessionId, seq: int) -> Sequence[SessionLine]:
        return await self._cable.call(lambda: self._bus.lines_after(session, seq))

    async def strike(self, agent: AgentId, kind: Literal["invalid", "expired"]) -> bool:
        return await self._cable.call(lambda: self._bus.strike(agent, kind))

    async def forgive(self, agent: AgentId) -> None:
        await self._cable.call(lambda: self._bus.forgive(agent))

    async def cooldown_ms(self, agent: AgentId) -> int:
        return await self._cable.call(lambda: self._bus.cooldown_ms(agent))

    async def watching(self, chunks: Iterable[ChunkId]) -> None:
        await self._cable.call(lambda: self._bus.watching(chunks), may_repeat=True)

    async def beat(self, gateway: GatewayId, beat: GatewayBeat) -> None:
        await self._cable.call(lambda: self._bus.beat(gateway, beat))

    async def counts(self) -> WorldCounts:
        return await self._cable.call(self._bus.counts)

    async def survey(self) -> Survey:
        return await self._cable.call(self._bus.survey)

    async def drain(self, slot: Slot) -> bool:
        return await self._cable.call(lambda: self._bus.drain(slot))

    async def news(self, after: str, wait_ms: int) -> str:
        return await self._cable.call(lambda: self._bus.news(after, wait_ms))

    async def announce(self) -> None:
        await self._cable.call(self._bus.announce)

    async def ping(self) -> None:
        await self._cable.call(self._bus.ping)


@attrs.frozen(eq=False)
class CableAccounts:
    _accounts: Accounts
    _cable: Cable

    async def world(self) -> World:
        return await self._cable.call(self._accounts.world)

    async def topologies(self) -> Topologies:
        return await self._cable.call(self._accounts.topologies)

    async def ask_reshard(self, shard_count: int) -> Topology:
        return await self._cable.call(lambda: self._accounts.ask_reshard(shard_count))

    async def create(self, account: Account, key: ApiKey) -> None:
        await self._cable.call(lambda: self._accounts.create(account, key))

    async def account(self, agent: AgentId) -> Account | None:
        return await self._cable.call(lambda: self._accounts.account(agent))

    async def add_key(self, key: ApiKey) -> None:
        await self._cable.call(lambda: self._accounts.add_key(key))

    async def key(self, key_id: str) -> ApiKey | None:
        return await self._cable.call(lambda: self._accounts.key(key_id))

    async def keys(self, agent: AgentId) -> Sequence[ApiKey]:
        return await self._cable.call(lambda: self._accounts.keys(agent))

    async def used(self, key_id: str, at: datetime) -> None:
        await self._cable.call(lambda: self._accounts.used(key_id, at))

    async def rehash(self, key_id: str, secret_hash: bytes) -> None:
        await self._cable.call(lambda: self._accounts.rehash(key_id, secret_hash))

    async def revoke(self, agent: AgentId, key_id: str, at: datetime) -> Sequence[SessionId] | None:
        return await self._cable.call(lambda: self._accounts.revoke(agent, key_id, at))

    async def open_session(self, session: Session) -> Sequence[SessionId]:
        return await self._cable.call(lambda: self._accounts.open_session(session))

    async def session(self, session: SessionId) -> Session | None:
        return await self._cable.call(lambda: self._accounts.session(session))

    async def end_session(self, session: SessionId, at: datetime) -> bool:
        return await self._cable.call(lambda: self._accounts.end_session(session, at))

    async def offer_resume(self, session: SessionId, used: bytes | None, fresh: bytes) -> bool:
        return await self._cable.call(lambda: self._accounts.offer_resume(session, used, fresh))

    async def confirm_resume(self, session: SessionId, fresh: bytes) -> bool:
        return await self._cable.call(lambda: self._accounts.confirm_resume(session, fresh))

    async def history(self, session: SessionId, after_seq: int) -> Sequence[SessionLine]:
        return await self._cable.call(lambda: self._accounts.history(session, after_seq))

    async def known(self, session: SessionId, id: CommandId) -> Known | None:
        return await self._cable.call(lambda: self._accounts.known(session, id))

    async def ping(self) -> None:
        await self._cable.call(self._accounts.ping)
