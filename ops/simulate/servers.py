"""PostgreSQL and Redis of the simulated cluster: the memory adapters' own, and what they let slip.

Pub/sub is at most once: on its way from here to a gateway a message may be lost, late or doubled.
Streams and data are Redis' own and are not touched.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from common.adapters.memory_accounts import MemoryAccounts
from common.adapters.memory_gateway_bus import MemoryGatewayBus
from common.adapters.memory_journal import MemoryJournal
from common.adapters.memory_leases import MemoryLeases
from common.adapters.memory_postgres import MemoryPostgres
from common.adapters.memory_redis import MemoryRedis, Subscriber
from common.adapters.memory_shard_bus import MemoryShardBus
from common.bus import Delta, Inbound
from common.envelopes import Replaced, SessionEnded, ToGateway
from common.grid import GatewayId
from ops.simulate.census import Census
from ops.simulate.network import Network
from ops.simulate.weather import NewsFault


class LeakyRedis(MemoryRedis):
    def __init__(self, network: Network, census: Census) -> None:
        self._network = network
        self._census = census
        super().__init__()

    def forget(self) -> None:
        super().forget()
        self._census.forget()

    def announce(self, delta: Delta) -> None:
        self._census.hear(delta)
        for subscriber in tuple(self.subscribers):
            if delta.chunk in subscriber.watched:
                self._tell(subscriber, delta)

    def send(self, gateway: GatewayId, message: ToGateway) -> None:
        for subscriber in tuple(self.subscribers):
            if subscriber.gateway == gateway:
                self._tell(subscriber, message)

    def _tell(self, subscriber: Subscriber, news: Inbound) -> None:
        fault = self._network.weather.of_news()
        if fault is None:
            subscriber.hear(news)
            return
        self._network.ledger.count(f"news {fault.value}")
        match fault:
            case NewsFault.DROPPED:
                if isinstance(news, Replaced | SessionEnded):
                    # Said once, and never again: only a lost subscription loses these, and tells.
                    subscriber.loss.set()
            case NewsFault.LATE:
                self._later(subscriber, news)
            case NewsFault.TWICE:
                subscriber.hear(news)
                self._later(subscriber, news)

    def _later(self, subscriber: Subscriber, news: Inbound) -> None:
        def hear() -> None:
            if subscriber in self.subscribers:
                subscriber.hear(news)

        self._network.after(self._network.weather.slow_seconds(), hear)


@attrs.frozen
class Adapters:
    """How processes reach the servers; tests of the harness put broken ones here."""

    journal: Callable[[MemoryPostgres], MemoryJournal] = MemoryJournal
    leases: Callable[[MemoryRedis], MemoryLeases] = MemoryLeases
    shard_bus: Callable[[MemoryRedis], MemoryShardBus] = MemoryShardBus
    gateway_bus: Callable[[MemoryRedis], MemoryGatewayBus] = MemoryGatewayBus
    accounts: Callable[[MemoryPostgres], MemoryAccounts] = MemoryAccounts
