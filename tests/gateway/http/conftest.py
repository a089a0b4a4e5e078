"""The HTTP app over memory adapters, and a client of it. Tests bring trio's autojump clock."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import attrs
import pytest
import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from quart import Response
from quart_trio import QuartTrio

from common.adapters.clock import SystemClock, TrioClock
from common.adapters.memory_accounts import MemoryAccounts
from common.adapters.memory_gateway_bus import MemoryGatewayBus
from common.adapters.memory_operators import MemoryOperators
from common.adapters.memory_postgres import MemoryPostgres
from common.adapters.memory_redis import MemoryRedis
from common.bus import Offer, Verdict
from common.grid import GatewayId, Slot
from common.operators import OperatorToken, Role
from common.settings import Settings
from common.tokens import Kind, new_token
from common.topology import Topology
from gateway.http.app import make_app
from gateway.http.outside import Outside
from gateway.moderation import Moderator
from gateway.ports import Clock
from gateway.stream.feeds import Feeds
from gateway.topology import Routes


@attrs.frozen
class StraightCourier:
    """Carries each offer by itself."""

    bus: MemoryGatewayBus

    async def offer(self, offer: Offer) -> Verdict:
        (verdict,) = await self.bus.offer((offer,))
        return verdict


@attrs.define
class House:
    """One gateway's HTTP side. ``set`` before the first call, if at all."""

    redis: MemoryRedis
    postgres: MemoryPostgres
    outside: Outside
    _app: QuartTrio | None = None

    @property
    def app(self) -> QuartTrio:
        if self._app is None:
            self._app = make_app(self.outside)
        return self._app

    def set(self, **settings: Any) -> None:
        self.outside = attrs.evolve(
            self.outside, settings=attrs.evolve(self.outside.settings, **settings)
        )
        self._app = None

    async def call(
        self,
        method: str,
        path: str,
        json: object = ...,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        address: str = "203.0.113.1",
    ) -> Response:
        given = dict(headers or {})
        if token is not None:
            given["Authorization"] = f"Bearer {token}"
        more: dict[str, Any] = {} if json is ... else {"json": json}
        if data is not None:
            more["data"] = data
        scope = {"client": (address, 4711)}
        client = self.app.test_client()
        return await client.open(path, method=method, headers=given, scope_base=scope, **more)

    async def sign_up(self, name: str = "Ada") -> dict[str, Any]:
        response = await self.call("POST", "/v1/signup", {"name": name})
        assert response.status_code == 201, await response.get_data(as_text=True)
        return await read(response)

    async def open_session(self, api_key: str, **body: object) -> dict[str, Any]:
        response = await self.call("POST", "/v1/sessions", body, api_key)
        assert response.status_code == 201, await response.get_data(as_text=True)
        return await read(response)

    async def operator(self, role: Role = Role.ADMIN, life: timedelta | None = None) -> str:
        """Return a token with ``role``, which is good for ``life``, or for ever."""
        token, now = new_token(Kind.OPERATOR), self.outside.clock.now()
        hashed = self.outside.settings.hashing_keys.hash(token)
        until = None if life is None else now + life
        kept = OperatorToken(token.id, hashed, role, f"a {role}", now, until)
        await self.outside.operators.add_token(kept)
        return token.text


async def read(response: Response) -> dict[str, Any]:
    answer: dict[str, Any] = await response.get_json(force=True)
    return answer


@pytest.fixture
def house() -> House:
    return a_house()


def a_house(clock: Clock | None = None) -> House:
    clock = clock or TrioClock()
    redis = MemoryRedis()
    postgres = MemoryPostgres(clock.now_ms)
    bus, routes = MemoryGatewayBus(redis), Routes(Topology(epoch=1, shard_count=2))
    courier = StraightCourier(bus)
    feeds = Feeds(bus, courier, routes, GatewayId("gateway-1"))  # It follows nothing.
    outside = Outside(
        bus, MemoryAccounts(postgres), clock, courier, routes, Settings(), feeds,
        MemoryOperators(postgres), Moderator(),
    )  # fmt: skip
    return House(redis, postgres, outside)


WAIT_SECONDS_MAX = 10.0  # For a thread to start or end: it takes milliseconds.


@attrs.frozen
class Live:
    """A server, and the token of an admin there."""

    url: str
    admin: str


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    """Over memory adapters, unless TESSERA_TEST_URL and TESSERA_TEST_OPS_TOKEN name another."""
    if url := os.environ.get("TESSERA_TEST_URL"):
        yield Live(url.rstrip("/"), os.environ["TESSERA_TEST_OPS_TOKEN"])
        return
    ready = threading.Event()
    told: list[tuple[Live, Callable[[], None]]] = []
    server = threading.Thread(target=trio.run, args=(_serve, ready, told))
    server.start()
    assert ready.wait(WAIT_SECONDS_MAX)
    server_there, stop = told[0]
    yield server_there
    stop()
    server.join(WAIT_SECONDS_MAX)
    assert not server.is_alive()


@pytest.fixture(scope="module")
def live_url(live: Live) -> str:
    return live.url


async def _serve(ready: threading.Event, told: list[tuple[Live, Callable[[], None]]]) -> None:
    house = a_house(SystemClock())
    house.set(signups_per_min=0, keys_per_hour=0, sessions_per_min=0)
    for slot in range(house.outside.routes.topology.shard_count):
        house.redis.leases[Slot(slot)] = ("a shard", float("inf"))
    stop, token = trio.Event(), trio.lowlevel.current_trio_token()
    config = Config()
    config.bind = ["127.0.0.1:0"]

    async def run(task_status: trio.TaskStatus[list[str]]) -> None:
        app: Any = house.app
        await serve(app, config, shutdown_trigger=stop.wait, task_status=task_status)

    async with trio.open_nursery() as nursery:
        binds: list[str] = await nursery.start(run)
        admin = await house.operator()
        told.append((Live(binds[0], admin), lambda: token.run_sync_soon(stop.set)))
        ready.set()
