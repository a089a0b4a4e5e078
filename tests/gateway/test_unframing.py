"""WebSocket frames: the short way and wsproto's must hear the same, however the bytes arrive."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from common.limits import FRAME_BYTES_MAX
from gateway.unframing import Ended, Heard, Pinged, Ponged, Said, Unframer, framed, unmasked
from tests.gateway.sockets import a_frame

masks = st.binary(min_size=4, max_size=4)


def masked(data: bytes, opcode: int, mask: bytes, first: int = 0x80) -> bytes:
    """A client's frame; ``a_frame`` with a mask that shows."""
    plain = a_frame(data, opcode, first=first)
    head = len(plain) - len(data) - 4
    return plain[:head] + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data))


@st.composite
def conversations(draw: st.DrawFn) -> list[bytes]:
    """Frames that break no rule: whole messages, fragments, and control frames in between."""
    frames = []
    control = st.sampled_from([9, 10])
    for _ in range(draw(st.integers(1, 6))):
        opcode, data = draw(
            st.one_of(
                st.tuples(st.just(1), st.text(max_size=200).map(str.encode)),
                st.tuples(st.just(2), st.binary(max_size=200)),
                st.tuples(control, st.binary(max_size=125)),
            )
        )
        cuts = draw(st.lists(st.integers(0, len(data)), max_size=2)) if opcode < 8 else []
        ends = [*sorted(cuts), len(data)]
        for n, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
            is_last = n == len(ends) - 1
            kind = opcode if n == 0 else 0
            frames.append(masked(data[start:end], kind, draw(masks), 0x80 if is_last else 0))
            if not is_last and draw(st.booleans()):
                frames.append(masked(draw(st.binary(max_size=9)), draw(control), draw(masks)))
    return frames


def heard_by_wsproto(data: bytes) -> list[Heard]:
    oracle, heard, parts = Connection(ConnectionType.SERVER), list[Heard](), list[str]()
    oracle.receive_data(data)
    for event in oracle.events():
        match event:
            case TextMessage() | BytesMessage():
                parts.append(event.data if isinstance(event, TextMessage) else "")
                if event.message_finished:
                    text = "".join(parts) if isinstance(event, TextMessage) else None
                    heard.append(Said(text))
                    parts.clear()
            case Ping():
                heard.append(Pinged(bytes(oracle.send(event.response()))))
            case Pong():
                heard.append(Ponged())
            case CloseConnection():
                heard.append(Ended(b""))
            case _:
                raise AssertionError(event)
    return heard


def heard(unframer: Unframer, pieces: Iterable[bytes]) -> list[Heard]:
    said: list[Heard] = []
    for piece in pieces:
        unframer.feed(piece)
        while (one := unframer.next()) is not None:
            said.append(one)
            if isinstance(one, Ended):
                return said
    return said


@given(conversations(), st.data())
def test_what_is_heard_is_what_wsproto_hears_however_it_is_cut(
    frames: list[bytes], data: st.DataObject
) -> None:
    sent = b"".join(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=8)))
    pieces = [sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    assert heard(Unframer(), pieces) == heard_by_wsproto(sent)


@given(st.binary(max_size=60), st.data())
def test_no_bytes_make_it_raise_and_what_is_wrong_to_wsproto_is_wrong_here(
    sent: bytes, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(sent)))
    assert_as_wrong_as_to_wsproto([sent[:cut], sent[cut:]])


@pytest.mark.parametrize("begun", [b"\x80", b"\xed\xa0", b"x\xff"])
def test_half_a_text_that_is_wrong_already_is_wrong_once_it_is_whole(begun: bytes) -> None:
    assert_as_wrong_as_to_wsproto([b"\x81\x83\x00\x00\x00\x00" + begun])


def assert_as_wrong_as_to_wsproto(pieces: list[bytes]) -> None:
    unframer = Unframer()
    ours, theirs = heard(unframer, pieces), heard_by_wsproto(b"".join(pieces))
    size = unframer._frame_size() if unframer.waiting else None
    if size is not None and len(ours) < len(theirs):
        # A text is judged once its frame is whole; wsproto need not wait for that.
        ours += heard(unframer, [bytes(size - unframer.waiting)])
    assert [type(one) for one in ours] == [type(one) for one in theirs]


@given(st.binary(max_size=300), masks)
def test_a_mask_is_taken_off(data: bytes, mask: bytes) -> None:
    assert unmasked(mask, bytes(b ^ mask[i % 4] for i, b in enumerate(data))) == data


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 70_000])
def test_what_we_say_is_heard_by_a_client(size: int) -> None:
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(framed(b"x" * size))
    texts = [event.data for event in client.events() if isinstance(event, TextMessage)]
    assert "".join(texts) == "x" * size


def test_whole_text_messages_cost_no_wsproto() -> None:
    unframer = Unframer()
    sizes = (0, 125, 126, FRAME_BYTES_MAX)
    frames = [masked(b"x" * size, 1, b"\x01\x02\x03\x04") for size in sizes]
    assert heard(unframer, frames) == [Said("x" * size) for size in sizes]
    assert unframer._slow is None


@pytest.mark.parametrize(
    "frames",
    [
        [a_frame(b"x" * (FRAME_BYTES_MAX + 1))],
        [a_frame("é".encode() * (FRAME_BYTES_MAX // 2 + 1))],
        [a_frame(b"x" * 10_000, first=0), a_frame(b"x" * 10_000, opcode=0)],
        [a_frame(b"x" * (FRAME_BYTES_MAX + 1), opcode=2)],
        [a_frame(b"x" * 3_000_000)[: 2 * FRAME_BYTES_MAX]],
    ],
)
def test_a_message_that_is_too_big_is_1009_before_its_end(frames: list[bytes]) -> None:
    unframer = Unframer()
    (ended,) = heard(unframer, frames)
    assert isinstance(ended, Ended)
    assert ended.answer[2:4] == (1009).to_bytes(2, "big")


def test_a_close_is_answered_and_the_answer_to_ours_is_not() -> None:
    close = a_frame((1000).to_bytes(2, "big") + b"done", opcode=8)
    assert heard(Unframer(), [close]) == [Ended(b"\x88\x06\x03\xe8done")]
    unframer = Unframer()
    assert unframer.close(4008, "slow")[2:4] == (4008).to_bytes(2, "big")
    late = [a_frame(b"late"), a_frame(b"there?", opcode=9), close]
    assert heard(unframer, late) == [Said("late"), Ended(b"")]


@pytest.mark.parametrize(
    "frame", [a_frame(b"\xff"), a_frame(b"x" * (FRAME_BYTES_MAX + 1)), a_frame(b"", opcode=3)]
)
def test_who_breaks_the_rules_after_our_close_is_told_nothing_more(frame: bytes) -> None:
    unframer = Unframer()
    unframer.close(1012, "")
    assert heard(unframer, [frame]) == [Ended(b"")]
