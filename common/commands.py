"""What an agent may ask for. The shapes are the protocol's; ``command_req`` carries one.

Pure. Bounds stand in the annotations, from which both the parser and the specs are made.
"""

from __future__ import annotations

from typing import Annotated, Literal

import attrs
from msgspec import Meta

from common.limits import CHAT_CHARACTERS_MAX, COORDINATE_MAX, WAIT_TICKS_MAX

Coordinate = Annotated[int, Meta(ge=-COORDINATE_MAX, le=COORDINATE_MAX)]


@attrs.frozen
class MoveTo:
    """Walk to the cell (x, y), chunk by chunk; it ends on that cell or fails."""

    x: Coordinate
    y: Coordinate
    name: Literal["move_to"] = attrs.field(default="move_to", kw_only=True)


@attrs.frozen
class Say:
    """Say ``text`` to everybody in the chunk."""

    text: Annotated[str, Meta(min_length=1, max_length=CHAT_CHARACTERS_MAX)]
    name: Literal["say"] = attrs.field(default="say", kw_only=True)


@attrs.frozen
class Wait:
    """Stand still for ``ticks`` ticks."""

    ticks: Annotated[int, Meta(ge=1, le=WAIT_TICKS_MAX)]
    name: Literal["wait"] = attrs.field(default="wait", kw_only=True)


Command = MoveTo | Say | Wait
