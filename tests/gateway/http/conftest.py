"""The HTTP app over memory adapters, and a client of it. Tests bring trio's autojump clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest
from quart import Response
from quart_trio import QuartTrio

from common.adapters.clock import TrioClock
from common.adapters.memory_accounts import MemoryAccounts
from common.adapters.memory_gateway_bus import MemoryGatewayBus
from common.adapters.memory_postgres import MemoryPostgres
from common.adapters.memory_redis import MemoryRedis
from common.bus import Offer, Verdict
from common.journal import Topology
from common.settings import Settings
from gateway.http.app import make_app
from gateway.http.outside import Outside
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


async def read(response: Response) -> dict[str, Any]:
    answer: dict[str, Any] = await response.get_json(force=True)
    return answer


@pytest.fixture
def house() -> House:
    return a_house()


def a_house() -> House:
    clock = TrioClock()
    redis = MemoryRedis()
    postgres = MemoryPostgres(clock.now_ms)
    bus = MemoryGatewayBus(redis)
    outside = Outside(
        bus,
        MemoryAccounts(postgres),
        clock,
        StraightCourier(bus),
        Routes(Topology(epoch=1, shard_count=2)),
        Settings(),
    )
    return House(redis, postgres, outside)
