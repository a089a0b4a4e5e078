"""What Redis is to forget, and does not hear of at once."""

from __future__ import annotations

from typing import Any, cast

import attrs
import pytest

from common.bus import Received
from common.envelopes import ShowAsked
from common.errors import Unavailable
from common.grid import ChunkId, GatewayId, Slot
from shard.inbox import Inbox
from shard.receiver import Receiver


@attrs.define
class Deaf:
    """A bus of which the first word is lost."""

    forgotten: list[str] = attrs.field(factory=list)
    is_deaf: bool = True

    async def done(self, slot: Slot, upto: str) -> None:
        if self.is_deaf:
            self.is_deaf = False
            raise Unavailable("lost")
        self.forgotten.append(upto)


async def test_what_redis_did_not_hear_is_said_again_although_no_later_message_comes() -> None:
    bus, inbox = Deaf(), Inbox()
    receiver = Receiver(cast("Any", bus), inbox, Slot(0))
    inbox.receive([Received("7", ShowAsked(ChunkId("0:0"), GatewayId("gw")))])
    inbox.finish(["7"])
    with pytest.raises(Unavailable):
        await receiver.forget()
    await receiver.forget()
    await receiver.forget()
    assert bus.forgotten == ["7"]
