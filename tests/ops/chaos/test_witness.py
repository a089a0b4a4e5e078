from __future__ import annotations

import pytest

from common.frames import ChunkDelta, ChunkStatic, Resync, SpectatorFrame
from common.grid import ChunkId, Tick
from ops.chaos.chronicle import TICKS, Chronicle
from ops.chaos.findings import Findings
from ops.chaos.witness import Witness
from ops.client import SpectatorEvent

HOME, EAST = ChunkId("0:0"), ChunkId("1:0")


def a_witness(*frames: SpectatorFrame) -> Witness:
    findings = Findings()
    chronicle = Chronicle(findings, now=lambda: 1.0)
    witness = Witness("witness", [], [HOME, EAST], chronicle, findings)
    for frame in frames:
        witness.hear(SpectatorEvent(frame, None))
    return witness


def a_static(tick: int, chunk: ChunkId = HOME) -> ChunkStatic:
    return ChunkStatic(chunk, 1, Tick(tick), 50, [], [])


def a_delta(tick: int, prev: int, chunk: ChunkId = HOME) -> ChunkDelta:
    return ChunkDelta(chunk, Tick(tick), Tick(prev), [])


def found(witness: Witness) -> list[str]:
    return [violation.promise for violation in witness.findings.violations]


@pytest.mark.parametrize("chunk", [HOME, None])
def test_a_gap_that_is_told_is_none_to_complain_of(chunk: ChunkId | None) -> None:
    resync = Resync("slow" if chunk is None else "out_of_range", chunk)
    witness = a_witness(a_static(4), a_delta(6, 4), resync, a_static(9), a_delta(10, 8))

    assert found(witness) == []
    assert witness.gaps == {HOME: [(6, 9)]}
    assert witness.chronicle.deltas == 2


@pytest.mark.parametrize(
    "frames",
    [
        [a_delta(5, 4)],
        [a_static(4), a_delta(7, 6)],
        [a_static(4), a_delta(5, 4), a_delta(5, 4)],
        [a_static(4), a_static(5)],
        [a_static(4), Resync("slow"), a_static(3)],
    ],
)
def test_a_silent_gap_or_a_repetition_is_found(frames: list[SpectatorFrame]) -> None:
    assert found(a_witness(*frames)) == [TICKS]


def test_a_hole_is_reported_once() -> None:
    assert found(a_witness(a_static(4), a_delta(7, 6), a_delta(8, 7), a_delta(9, 8))) == [TICKS]
