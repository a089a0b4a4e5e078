"""The AsyncAPI 3.0 document of the streams, made from the frames that go over them.

In it, as the specification has it, ``send`` and ``receive`` are the server's. Close codes and the
order of frames have no place in such a document; they are in the channels' descriptions.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from common.commands import Command
from common.frames import ClientFrame, CommandRequest, ServerFrame, SpectatorFrame
from common.limits import CHUNKS_PER_VIEW_MAX, FRAME_BYTES_MAX
from common.refusals import CloseCode
from gateway.http.schema import Schema, Schemas

_AGENT = (
    "Text frames, one JSON object each, at most {bytes} bytes. Authorised by `Authorization: Bearer"
    " <session_token>` or the subprotocols `tessera.v1, bearer.<session_token>`. The exchange:"
    " command_req, challenge, answer, ack, then ticks, then exactly one result. Close codes:"
    " {codes}."
)
_SPECTATE = (
    "Server-sent events: the name of the event is the message's type, data its payload in one line."
    " session_ready, then for each chunk a chunk_static, then chunk_deltas; a comment line at least"
    " every 15 s. A client that comes back with Last-Event-ID gets what it missed, or resync."
)
_SPECTATE_WS = (
    "The same stream as WebSocket text frames {event, id?, data}. Any data frame from the client"
    " closes it with 1008."
)


def describe_streams(*, sealed: bool = False) -> Schema:
    """``sealed`` refuses unknown fields from the server too, which clients must not: for tests."""
    schemas = Schemas(sealed=sealed)
    requests = {_tag(kind): schemas.received(kind) for kind in get_args(ClientFrame)}
    answers = {_tag(kind): schemas.sent(kind) for kind in get_args(ServerFrame)}
    events = {_tag(kind): schemas.sent(kind) for kind in get_args(SpectatorFrame)}
    _describe_command(schemas)
    wrapped = {f"ws_{name}": _wrapped(name, data) for name, data in events.items()}
    # Two frames are called session_ready: an agent's and a spectator's.
    watched = {f"watch_{name}": payload for name, payload in events.items()}
    messages = {**requests, **answers, **watched, **wrapped}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Tessera streams", "version": "1", "description": "HTTP: /openapi.json."},
        "defaultContentType": "application/json",
        "channels": {
            "agent": _channel("/v1/agent", _agent(), [*requests, *answers], _AGENT_QUERY),
            "spectate": _channel("/v1/spectate", _SPECTATE, watched, None),
            "spectateWs": _channel("/v1/spectate/ws", _SPECTATE_WS, wrapped, _SPECTATE_QUERY),
        },
        "operations": {
            "hearAgent": _operation("receive", "agent", requests),
            "tellAgent": _operation("send", "agent", answers),
            "tellSpectator": _operation("send", "spectate", watched),
            "tellSpectatorWs": _operation("send", "spectateWs", wrapped),
        },
        "components": {
            "messages": {
                name: {"name": name, "payload": payload} for name, payload in messages.items()
            },
            "schemas": dict(sorted(schemas.components.items())),
        },
    }


def _tag(kind: type) -> str:
    hint = typing.get_type_hints(kind)["type"]
    assert get_origin(hint) is Literal
    return str(get_args(hint)[0])


def _describe_command(schemas: Schemas) -> None:
    """The frame keeps the command as the client sent it; what it may be stands elsewhere."""
    request = schemas.components[CommandRequest.__name__]
    request["properties"]["command"] = schemas.received(Command)


def _wrapped(name: str, data: Schema) -> Schema:
    return {
        "type": "object",
        "properties": {"event": {"const": name}, "id": {"type": "string"}, "data": data},
        "required": ["event", "data"],
    }


def _agent() -> str:
    codes = ", ".join(f"{code.value} {code.name.lower()}" for code in CloseCode)
    return _AGENT.format(bytes=FRAME_BYTES_MAX, codes=codes)


def _channel(
    address: str, about: str, messages: Sequence[str] | Mapping[str, Any], query: Schema | None
) -> Schema:
    channel: Schema = {
        "address": address,
        "description": about,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }
    if query is not None:
        channel["bindings"] = {"ws": {"method": "GET", "query": query}}
    return channel


def _operation(action: str, channel: str, messages: Mapping[str, Any]) -> Schema:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
    }


_AGENT_QUERY: Schema = {
    "type": "object",
    "properties": {
        "resume": {"type": "string", "description": "A resume token: take the session over."},
        "last_seq": {"type": "integer", "minimum": 0, "description": "The last seq received."},
    },
}
_SPECTATE_QUERY: Schema = {
    "type": "object",
    "required": ["chunks"],
    "properties": {
        "chunks": {
            "type": "string",
            "description": f"1 to {CHUNKS_PER_VIEW_MAX} chunk ids, with commas between.",
        },
        "last_event_id": {"type": "string"},
    },
}
