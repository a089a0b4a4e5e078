from __future__ import annotations

from common import wire
from common.grid import ChunkId
from common.limits import BUSIEST_MAX
from common.topology import SlotBeat
from shard.beats import busiest


def test_a_slot_names_its_fullest_chunks_first() -> None:
    named = busiest([(ChunkId("0:0"), 2), (ChunkId("1:0"), 0), (ChunkId("0:1"), 7)])
    assert list(named.items()) == [("0:1", 7), ("0:0", 2), ("1:0", 0)]


def test_a_beat_stays_small_however_many_chunks_are_active() -> None:
    active = [(ChunkId(f"{-number}:{number}"), number % 400) for number in range(10_000)]
    beat = SlotBeat("a holder", len(active), 10_000, 1.5, busiest(active))
    assert len(beat.busiest) == BUSIEST_MAX
    assert min(beat.busiest.values()) >= 389
    assert len(wire.encode(beat)) < 5_000
    assert wire.decode(wire.encode(beat), SlotBeat) == beat
