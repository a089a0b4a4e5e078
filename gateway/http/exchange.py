"""One request and its answer on a connection that lives on, between Quart-trio and Hypercorn.

It mends what the two do to each other: on the last piece of an answer Hypercorn says
``http.disconnect``, Quart-trio then cancels whoever sends, and that is Hypercorn itself, about to
make the connection ready for the next request or to close it. Without this the next request of a
client that was refused before its body had come would never be answered, and the idle timer
would not run. So sending is shielded, here and nowhere else; what bounds a stuck write is the
watchdog outside.
"""

from __future__ import annotations

import trio
from hypercorn.typing import (
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
)
from quart_trio.asgi import TrioASGIHTTPConnection

from common.limits import REST_SECONDS_MAX


class Exchange(TrioASGIHTTPConnection):
    """The answer is sent at once, but ends only with the request or after REST_SECONDS_MAX.

    A connection that is closed with unread bytes is reset, and a reset can overtake the answer.
    """

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        received = trio.Event()

        async def receive_noting() -> ASGIReceiveEvent:
            message = await receive()
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                received.set()
            return message

        async def send_whole(message: ASGISendEvent) -> None:
            with trio.CancelScope(shield=True):
                if message["type"] == "http.response.body" and not message.get("more_body", False):
                    with trio.move_on_after(REST_SECONDS_MAX):
                        await received.wait()
                await send(message)

        await super().__call__(receive_noting, send_whole)
