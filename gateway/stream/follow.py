"""What a feed does next, given what it knows and what it just heard.

Pure. A ``Following`` is all that one gateway knows of one chunk; each function takes the old one
and returns the new one with what is to be carried out, in order. The promise: listeners are told
a Static first, and then deltas that follow without a gap; when that can't be kept, a Static again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from common.bus import Delta
from common.events import Event
from common.frames import ChunkDelta, ChunkStatic
from common.grid import ChunkId, Tick
from common.limits import FEED_PENDING_MAX, STALE_SHOWS_MAX
from common.replica import Replica, fold, is_next, replica_of


@attrs.frozen(eq=False)
class Static:
    """The whole chunk after ``tick``; ``data`` is the encoded ``chunk_static``."""

    chunk: ChunkId
    generation: int
    tick: Tick
    data: bytes


@attrs.frozen(eq=False)
class FeedDelta:
    """The next delta; ``delta.data`` is the encoded ``chunk_delta``."""

    delta: Delta
    events: Sequence[Event]


@attrs.frozen
class TellStatic:
    """Tell every listener the static of the replica as it is now."""


@attrs.frozen
class TellDelta:
    item: FeedDelta


Telling = TellStatic | TellDelta


@attrs.frozen
class Following:
    """``asking``: a Shown is awaited. ``filling``: what came after ``replica.tick`` is to be read.

    ``pending`` are deltas heard meanwhile, oldest first; beyond FEED_PENDING_MAX the oldest are
    dropped, which is a gap like any other. ``asks`` counts the times it asked since it last knew,
    ``restores`` how often the subscription was lost: a fill begun before the last time is not
    enough.
    """

    replica: Replica | None = None
    asking: bool = True
    filling: bool = False
    asks: int = 0
    restores: int = 0
    pending: tuple[FeedDelta, ...] = ()


@attrs.frozen
class Step:
    state: Following
    tell: tuple[Telling, ...] = ()


def asked(state: Following) -> Following:
    return attrs.evolve(state, asks=state.asks + 1)


def on_shown(state: Following, static: ChunkStatic) -> Step:
    """The shard answered. Answers that nobody waits for any more change nothing."""
    if not state.asking or _is_stale(state, static):
        return Step(state)
    known = attrs.evolve(state, replica=replica_of(static), asking=False, asks=0, pending=())
    # What was heard meanwhile is in the static that is told: told again it would come twice.
    return Step(_catch_up(known, state.pending).state, (TellStatic(),))


def on_delta(state: Following, item: FeedDelta) -> Step:
    if state.asking or state.filling:
        pending = (*state.pending, item)[-FEED_PENDING_MAX:]
        return Step(attrs.evolve(state, pending=pending))
    return _catch_up(state, (item,))


def on_filled(state: Following, missed: Sequence[FeedDelta] | None, restores: int) -> Step:
    """The stream was read, begun when ``restores`` was so; None: it no longer keeps them all."""
    if state.asking:
        return Step(state)  # A static is on its way, which says it all.
    if missed is None:
        return Step(_ask_anew(state))
    waiting = sorted((*missed, *state.pending), key=_tick)
    step = _catch_up(attrs.evolve(state, filling=False, pending=()), waiting)
    if step.state.filling and not step.tell:
        # The stream was read and the gap is still there: reading it again would not end.
        return Step(_ask_anew(step.state))
    if restores != state.restores:
        return attrs.evolve(step, state=attrs.evolve(step.state, filling=True))
    return step


def on_restored(state: Following) -> Step:
    """Anything may have been missed: read the stream, without waiting for a delta to show it."""
    return Step(attrs.evolve(state, filling=not state.asking, restores=state.restores + 1))


def on_lapsed(state: Following) -> Step:
    """It could not be said for long that somebody watches: by now this may be another chunk."""
    return Step(state if state.asking else _ask_anew(state))


def _ask_anew(state: Following) -> Following:
    return attrs.evolve(state, asking=True, filling=False, asks=0)


def _catch_up(state: Following, items: Iterable[FeedDelta]) -> Step:
    """Fold ``items`` (oldest first) as far as they follow; from a gap on they wait for a fill."""
    replica = state.replica
    assert replica is not None, "only a chunk that is known can be caught up with"
    told: list[Telling] = []
    waiting: list[FeedDelta] = []
    for item in items:
        frame = frame_of(item)
        if waiting:
            waiting.append(item)
        elif is_next(replica, frame):
            replica = fold(replica, frame)
            told.append(TellDelta(item))
        elif item.delta.tick > replica.tick:
            waiting.append(item)  # Else it was told before.
    caught_up = Following(
        replica,
        state.asking,
        bool(waiting),
        state.asks,
        state.restores,
        tuple(waiting[-FEED_PENDING_MAX:]),
    )
    return Step(caught_up, tuple(told))


def frame_of(item: FeedDelta) -> ChunkDelta:
    return ChunkDelta(item.delta.chunk, item.delta.tick, item.delta.prev_tick, list(item.events))


def _is_stale(state: Following, static: ChunkStatic) -> bool:
    """Whether this answers an older question: it is behind what listeners were told already.

    Ticks never go back; but if every answer says that they did (a world restored from a backup),
    it is better to believe it in the end than to wait for ever.
    """
    behind = state.replica is not None and static.tick < state.replica.tick
    return behind and state.asks < STALE_SHOWS_MAX


def _tick(item: FeedDelta) -> Tick:
    return item.delta.tick
