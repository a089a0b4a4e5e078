"""Simulated processes: a shard or a gateway, as its composition root wires it, without sockets.

A process that is killed has no last words: its tasks are cancelled, and what they try to say on
the way out gets nowhere. A new life has a new name, as in production.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

import attrs
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope, WebsocketScope

from common.errors import Trouble
from common.grid import GatewayId
from common.limits import NONCE_BYTES
from common.settings import Settings
from gateway.agent.agents import Agents
from gateway.agent.outside import Outside as AgentOutside
from gateway.courier import Courier
from gateway.ports import Accounts, Bus
from gateway.stream.feeds import Feeds
from gateway.stream.spectate import Spectators
from gateway.switchboard import Switchboard
from gateway.topology import Routes, follow
from ops.simulate.gateway_ports import WallClock
from ops.simulate.network import Cable
from ops.simulate.scheduler import belong_to
from ops.simulate.socket import Socket
from ops.simulate.wire import Wires
from shard.outside import Outside as ShardOutside
from shard.serve import serve

Serve = Callable[[ASGIReceiveCallable, ASGISendCallable], Awaitable[None]]

REBIRTH_SECONDS = 0.5  # A gateway that finds no server when it starts, tries again.


class Role(Protocol):
    async def run(self) -> None:
        """Until cancelled, or until the process was told to stop."""


@attrs.define(eq=False)
class Process:
    kind: Literal["shard", "gateway"]
    number: int
    name: str
    role: Role
    cable: Cable
    stop: trio.Event
    drain: trio.Event
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    ended: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def run(self) -> None:
        belong_to(self.name)
        with self._scope:
            await self.role.run()
        self.ended.set()

    @property
    def is_dead(self) -> bool:
        return self._scope.cancel_called

    def kill(self) -> None:
        self.cable.is_cut = True
        self._scope.cancel()


@attrs.frozen(eq=False)
class Shard:
    _outside: ShardOutside
    _name: str
    _stop: trio.Event
    _drain: trio.Event

    async def run(self) -> None:
        await serve(self._outside, self._name, self._stop, self._drain)


@attrs.define(eq=False)
class Gateway:
    """Its two kinds of WebSockets and its event stream, for clients in the same ``trio.run``."""

    _bus: Bus
    _accounts: Accounts
    clock: WallClock
    _collect_seconds: float
    _name: str
    _stop: trio.Event
    _dice: random.Random
    _wires: Wires
    _nursery: trio.Nursery | None = attrs.field(default=None, init=False)
    _agents: Agents | None = attrs.field(default=None, init=False)
    _spectators: Spectators | None = attrs.field(default=None, init=False)

    @property
    def is_open(self) -> bool:
        return self._nursery is not None

    async def run(self) -> None:
        while True:  # Ends by cancellation: its supervisor starts it again until it stands.
            try:
                await self._live()
            except* Trouble:
                pass
            await trio.sleep(REBIRTH_SECONDS)

    async def _live(self) -> None:
        gateway, settings = GatewayId(self._name), Settings()
        routes = Routes((await self._accounts.topologies()).in_force)
        courier = Courier(self._bus)
        feeds = Feeds(self._bus, courier, routes, gateway, self._collect_seconds)
        switchboard = Switchboard(self._bus, gateway, feeds)
        self._spectators = Spectators(feeds, self._bus, settings, self._stop, self._wires)
        self._agents = Agents(
            AgentOutside(
                self._bus,
                self._accounts,
                self.clock,
                courier,
                switchboard,
                feeds,
                routes,
                settings,
                gateway,
                self._stop,
                lambda: self._dice.randbytes(NONCE_BYTES),
            )
        )
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(courier.run)
                await nursery.start(feeds.run)
                await nursery.start(switchboard.run)
                nursery.start_soon(follow, self._bus, self._accounts, routes)
                nursery.start_soon(self._agents.run)
                nursery.start_soon(self._spectators.run)
                self._nursery = nursery
        finally:
            self._nursery = None

    def serve_agent(self, scope: WebsocketScope, socket: Socket) -> None:
        assert self._agents is not None
        agents = self._agents
        self._serve(lambda receive, send: agents(scope, receive, send), socket)

    def serve_events(self, scope: HTTPScope, socket: Socket) -> None:
        assert self._spectators is not None
        spectators = self._spectators
        self._serve(lambda receive, send: spectators.events(scope, receive, send), socket)

    def serve_frames(self, scope: WebsocketScope, socket: Socket) -> None:
        assert self._spectators is not None
        spectators = self._spectators
        self._serve(lambda receive, send: spectators.frames(scope, receive, send), socket)

    def _serve(self, app: Serve, socket: Socket) -> None:
        assert self._nursery is not None, "only an open gateway serves"

        async def serve() -> None:
            belong_to(self._name)
            try:
                await app(socket.receive, socket.send)
            finally:
                socket.request_ended()

        self._nursery.start_soon(serve)
