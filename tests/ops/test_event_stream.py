from __future__ import annotations

import random

from gateway.plain import LAST_CHUNK, in_chunk
from ops.event_stream import Body, Events, read_frame_event

HEAD = b"HTTP/1.1 200 \r\ncontent-type: text/event-stream\r\n\r\n"
FIRST = b'retry: 1000\nevent: session_ready\ndata: {"a":1}\n\n'
SECOND = 'event: chunk_delta\nid: 1.2\ndata: {"ö":"data: x"}\n\n'.encode()
WHOLE = [("", '{"a":1}'), ("1.2", '{"ö":"data: x"}')]


def test_a_stream_reads_the_same_in_whatever_pieces_it_comes() -> None:
    stream = HEAD + in_chunk(FIRST) + in_chunk(b":\n") + in_chunk(SECOND) + LAST_CHUNK
    for seed in range(200):
        chance, body, events, at = random.Random(seed), Body(), Events(), 0
        read: list[tuple[str, str]] = []
        while at < len(stream):
            size = chance.randint(1, 1 + seed)
            read += events.read(body.read(stream[at : at + size]))
            at += size
        assert (body.status, read) == (200, WHOLE)


def test_an_event_that_is_cut_off_is_none() -> None:
    body, events = Body(), Events()
    stream = HEAD + in_chunk(FIRST + SECOND)
    assert events.read(body.read(stream[: -len(b"\n\r\n")])) == WHOLE[:1]


def test_a_refusal_says_its_status() -> None:
    body = Body()
    body.read(b"HTTP/1.1 503 \r\nretry-after: 5\r\n\r\n")
    assert body.status == 503


def test_the_data_of_a_frame_is_what_was_sent() -> None:
    assert read_frame_event('{"event":"x","id":"1.2","data":{"a": [1]}}') == ("1.2", '{"a": [1]}')
    assert read_frame_event('{"event":"x","data":{"id":"7"}}') == ("", '{"id":"7"}')
