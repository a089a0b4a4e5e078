"""What may follow the path of a call, for its document: by path.

Data only. Who serves a path reads its query, and refuses what is not written here.
"""

from __future__ import annotations

from collections.abc import Mapping

from common.limits import CHUNKS_PER_VIEW_MAX, NAME_CHARACTERS_MAX, PAGE_ITEMS, PAGE_ITEMS_MAX
from gateway.http.schema import Schema


def _paged(cursor: str) -> list[Schema]:
    limit = {"type": "integer", "minimum": 1, "maximum": PAGE_ITEMS_MAX, "default": PAGE_ITEMS}
    return [
        {"name": "limit", "in": "query", "schema": limit},
        {
            "name": "cursor",
            "in": "query",
            "description": "The next_cursor of the page before.",
            "schema": {"type": "string", "pattern": cursor},
        },
    ]


_CHUNK = r"-?[0-9]{1,8}:-?[0-9]{1,8}"
QUERY_OF: Mapping[str, list[Schema]] = {
    "/v1/agent": [
        {"name": "resume", "in": "query", "schema": {"type": "string"}},
        {"name": "last_seq", "in": "query", "schema": {"type": "integer", "minimum": 0}},
    ],
    "/v1/spectate/ws": [
        {
            "name": "chunks",
            "in": "query",
            "required": True,
            "description": f"1 to {CHUNKS_PER_VIEW_MAX} chunk ids, with commas between.",
            "example": "0:0,1:0",
            "schema": {
                "type": "string",
                "pattern": rf"^{_CHUNK}(,{_CHUNK}){{0,{CHUNKS_PER_VIEW_MAX - 1}}}$",
            },
        },
        {"name": "last_event_id", "in": "query", "schema": {"type": "string"}},
    ],
    "/ops/agents": [
        *_paged(r"^[0-9A-Za-z_-]{1,64}$"),
        {
            "name": "name",
            "in": "query",
            "description": "Only the one of that name, in any case.",
            "schema": {"type": "string", "pattern": rf"^[0-9A-Za-z_-]{{1,{NAME_CHARACTERS_MAX}}}$"},
        },
    ],
    "/ops/audit": [
        *_paged(r"^[1-9][0-9]{0,17}$"),
        {
            "name": "changes",
            "in": "query",
            "description": "Only what was to change something: not the GETs.",
            "schema": {"type": "boolean"},
        },
    ],
    "/ops/chunks": _paged(r"^-?[0-9]{1,10}:-?[0-9]{1,10}$"),
}
