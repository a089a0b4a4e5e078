"""What a gateway refuses agents to say, and how soon it hears of a change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trio

from common.accounts import ALL_SCOPES, Account, ApiKey
from common.adapters.clock import TrioClock
from common.adapters.memory_accounts import MemoryAccounts
from common.adapters.memory_operators import MemoryOperators
from common.adapters.memory_postgres import MemoryPostgres
from common.grid import AgentId, ChunkId
from common.operators import Moderation
from gateway.moderation import Gag, Moderator, keep_told

ADA, BOB = AgentId("agt_1"), AgentId("agt_2")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)


def told(**what: Any) -> Moderator:
    moderator = Moderator()
    moderator.hear(Moderation(1, **what))
    return moderator


def test_a_mute_is_one_agents_and_passes() -> None:
    moderator = told(muted={ADA: NOW + timedelta(seconds=30)})
    assert moderator.gag(ADA, "hello", NOW_MS) == Gag("muted", 30_000)
    assert moderator.gag(BOB, "hello", NOW_MS) is None
    assert moderator.gag(ADA, "hello", NOW_MS + 30_000) is None


def test_a_banned_word_is_refused_to_everybody() -> None:
    moderator = told(words=("darn",))
    assert moderator.gag(ADA, "Darn!", NOW_MS) == Gag("moderated")
    assert moderator.gag(ADA, "darning", NOW_MS) is None


def test_what_was_told_earlier_changes_nothing_any_more() -> None:
    moderator = told(words=("darn",))
    moderator.hear(Moderation(0, words=()))
    assert moderator.gag(ADA, "darn", NOW_MS) is not None


async def test_every_change_is_known_within_a_second_and_holds_through_an_outage(
    autojump_clock: object,
) -> None:
    clock = TrioClock()
    postgres = MemoryPostgres(clock.now_ms)
    operators, moderator = MemoryOperators(postgres), Moderator()
    account = Account(ADA, "Ada", clock.now(), ChunkId("0:0"), None, None)
    key = ApiKey("key1", ADA, b"", "", ALL_SCOPES, clock.now())
    await MemoryAccounts(postgres).create(account, key)
    await operators.set_words(["darn"])
    async with trio.open_nursery() as nursery:
        await nursery.start(keep_told, moderator, operators)
        assert moderator.gag(ADA, "darn", clock.now_ms()) == Gag("moderated")
        await operators.mute(ADA, clock.now() + timedelta(hours=1))
        await trio.sleep(1)
        assert moderator.gag(ADA, "hello", clock.now_ms()) is not None
        postgres.down = True
        await trio.sleep(10)
        assert moderator.gag(ADA, "hello", clock.now_ms()) is not None
        postgres.down = False
        await operators.unmute(ADA)
        await trio.sleep(1)
        assert moderator.gag(ADA, "hello", clock.now_ms()) is None
        nursery.cancel_scope.cancel()


async def test_a_gateway_does_not_begin_before_it_was_told(autojump_clock: object) -> None:
    postgres = MemoryPostgres(TrioClock().now_ms)
    postgres.down = True
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(5):
            await nursery.start(keep_told, Moderator(), MemoryOperators(postgres))
            pytest.fail("it began")
        postgres.down = False
        await nursery.start(keep_told, Moderator(), MemoryOperators(postgres))
        nursery.cancel_scope.cancel()
