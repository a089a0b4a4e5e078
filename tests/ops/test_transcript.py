from __future__ import annotations

import pytest

from common.grid import ChunkId, Tick
from ops.transcript import Original, Transcript

HERE, THERE = ChunkId("0:0"), ChunkId("1:0")


def a_transcript(*ticks: int) -> Transcript:
    """Of a world in which HERE had deltas at ``ticks``."""
    original = Original()
    for tick in ticks:
        original.add(Tick(tick), b"%d" % tick)
    return Transcript({HERE: original})


def told(transcript: Transcript, *ticks: int) -> list[str | None]:
    return [transcript.tell(HERE, Tick(tick), b"%d" % tick) for tick in ticks]


def test_every_delta_after_the_static_once_and_in_order_is_right() -> None:
    transcript = a_transcript(2, 5, 6, 9)
    transcript.begin("none")
    assert transcript.show(HERE, Tick(4)) is None
    assert told(transcript, 5, 6) == [None, None]
    transcript.begin("last")
    assert told(transcript, 9) == [None]
    assert transcript.missing() == {}


@pytest.mark.parametrize(
    ("ticks", "words"),
    [((5, 9), "6 was left out"), ((5, 5), "twice"), ((5, 6, 5), "too late"), ((4,), "left out")],
)
def test_what_is_left_out_or_comes_twice_is_noticed(ticks: tuple[int, ...], words: str) -> None:
    transcript = a_transcript(2, 5, 6, 9)
    transcript.show(HERE, Tick(3))
    (*_, last) = told(transcript, *ticks)
    assert words in str(last)


def test_other_bytes_are_another_delta() -> None:
    transcript = a_transcript(5)
    transcript.show(HERE, Tick(3))
    assert "instead of" in str(transcript.tell(HERE, Tick(5), b"6"))


def test_nothing_is_told_before_the_static() -> None:
    assert "before its chunk_static" in str(*told(a_transcript(5), 5))


def test_a_second_static_is_announced_on_the_same_connection() -> None:
    transcript = a_transcript(5, 6)
    transcript.show(HERE, Tick(3))
    transcript.announce([THERE])
    assert "without a resync" in str(transcript.show(HERE, Tick(5)))
    transcript.announce([HERE])
    assert transcript.show(HERE, Tick(5)) is None
    transcript.announce([HERE])
    transcript.begin("last")
    assert "without a resync" in str(transcript.show(HERE, Tick(5)))


def test_a_resync_lets_deltas_be_left_out_and_nothing_be_missing_after_it() -> None:
    transcript = a_transcript(5, 6, 7, 8)
    transcript.show(HERE, Tick(3))
    transcript.announce([HERE])
    transcript.show(HERE, Tick(6))
    assert "7 was left out" in str(*told(transcript, 8))
    assert transcript.missing() == {}
    transcript.announce([HERE])
    transcript.show(HERE, Tick(6))
    assert transcript.missing() == {HERE: 7}


def test_who_comes_without_an_id_begins_anew() -> None:
    transcript = a_transcript(5, 6)
    transcript.show(HERE, Tick(3))
    transcript.begin("none")
    assert transcript.show(HERE, Tick(6)) is None


def test_who_comes_with_a_foreign_id_is_told_so_and_forgotten() -> None:
    transcript = a_transcript(5, 6)
    transcript.show(HERE, Tick(3))
    transcript.begin("foreign")
    assert "without a resync" in str(transcript.show(HERE, Tick(5)))
    transcript.begin("foreign")
    transcript.begin("last")  # It went before it was the turn of HERE.
    assert transcript.show(HERE, Tick(6)) is None
