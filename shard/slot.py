"""All the tasks of one slot, and how they end.

The order of ending is the order of the data: first nothing new comes in, then the chunks stop
between two ticks, then what they said is published, recorded and saved. When that takes too long
it is cut off, and nothing is lost: it is all in the journal.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio

from common.limits import (
    CLOCKS_SECONDS_MAX,
    FINISH_SECONDS_MAX,
    PUBLISH_QUEUE_MAX,
    RECORD_QUEUE_MAX,
    SHUTDOWN_SECONDS_MAX,
)
from shard.aftermath import Aftermath
from shard.awaited import Awaited
from shard.beats import Beats
from shard.border import Border
from shard.chunks import Chunks
from shard.collector import Collector
from shard.ground import Ground
from shard.handover import Handover
from shard.inbox import Inbox
from shard.inquiry import Inquiry
from shard.intake import Intake
from shard.lateness import Lateness
from shard.loader import Loader
from shard.metronome import Metronome
from shard.outbox import Outbox
from shard.outlook import Outlook
from shard.outside import Outside
from shard.pauses import PauseMeter
from shard.presence import Presence
from shard.publisher import publish
from shard.receiver import Receiver
from shard.recorder import record
from shard.routes import Routes
from shard.snapshots import Snapshots
from shard.ticking import Ticking
from shard.trails import Trails
from shard.way import Way

RELEASE_SECONDS = 1.0  # Of SHUTDOWN_SECONDS_MAX, left for giving the lease back.


@attrs.frozen
class _Slot:
    """The parts of a slot, wired to each other."""

    inbox: Inbox
    outbox: Outbox
    records: Outbox
    border: Border
    metronome: Metronome
    chunks: Chunks
    ground: Ground
    loader: Loader
    intake: Intake
    snapshots: Snapshots
    collector: Collector
    receiver: Receiver
    presence: Presence
    handover: Handover
    awaited: Awaited
    beats: Beats


def _wire(
    outside: Outside,
    outlook: Outlook,
    routes: Routes,
    holder: str,
    seed: int,
    nursery: trio.Nursery,
) -> _Slot:
    look = outlook.look_at_topology
    inbox, trails, lateness, metronome = Inbox(), Trails(), Lateness(), Metronome()
    outbox, records = Outbox(PUBLISH_QUEUE_MAX), Outbox(RECORD_QUEUE_MAX)
    border = Border(inbox, outbox, routes, outside.journal)
    way = Way(outside.spans)
    aftermath = Aftermath(outbox, inbox, border, trails, routes, way)
    pauses = PauseMeter(outside.clock, routes)
    chunks = Chunks(nursery, Ticking(metronome, outbox, aftermath, lateness, pauses).run)
    awaited = Awaited(routes, chunks, inbox, pauses)
    handover = Handover(chunks, routes, inbox, outbox, outside.clock)
    loader = Loader(
        outside.bus,
        outside.leases,
        outside.journal,
        chunks,
        outbox,
        border,
        routes,
        holder,
        seed,
        inbox.release,
        awaited,
        look,
    )
    inquiry = Inquiry(outside.journal, loader, chunks, look)
    return _Slot(
        inbox,
        outbox,
        records,
        border,
        metronome,
        chunks,
        Ground(chunks),
        loader,
        Intake(inbox, outbox, chunks, trails, routes, outside.journal, inquiry, seed, awaited, way),
        Snapshots(chunks, outbox),
        Collector(outside.bus, chunks, inbox, outbox, inquiry.forget, outside.collect_seconds),
        Receiver(outside.bus, inbox, routes.slot),
        Presence(outside.bus, chunks, inbox),
        handover,
        awaited,
        Beats(routes, holder, chunks, lateness, inbox, outbox, records, handover, pauses),
    )


async def serve_slot(
    outside: Outside,
    outlook: Outlook,
    routes: Routes,
    holder: str,
    seed: int,
    stop: trio.Event,
    lose: Callable[[], None],
    wired: Callable[[Beats, Handover], None],
) -> None:
    """Serve the chunks of ``routes.slot`` until ``stop``, then put everything in order.

    ``lose`` cancels us: it is called when the slot turns out not to be ours any more. ``wired`` is
    told how to see how it is doing.
    """
    async with trio.open_nursery() as sending, trio.open_nursery() as living:
        slot = _wire(outside, outlook, routes, holder, seed, living)
        wired(slot.beats, slot.handover)
        sending.start_soon(_publish, slot, outside, routes, holder, lose)
        sending.start_soon(_record, slot, outside)
        living.start_soon(slot.metronome.run)
        living.start_soon(_live, slot, living)
        await stop.wait()
        if slot.handover.has_heir:
            with trio.move_on_after(CLOCKS_SECONDS_MAX):
                await slot.snapshots.keep_clocks()  # All goes on meanwhile.
        sending.cancel_scope.deadline = trio.current_time() + SHUTDOWN_SECONDS_MAX - RELEASE_SECONDS
        with trio.move_on_after(FINISH_SECONDS_MAX):
            await slot.intake.finish()
        # A tick awaits nothing, so every chunk stops between two.
        living.cancel_scope.cancel()
        slot.handover.leave_all()
        slot.snapshots.keep_all()
        slot.outbox.close()


async def _live(slot: _Slot, nursery: trio.Nursery) -> None:
    # Until it is known which chunks have somebody in them, none may be taken for empty.
    await slot.loader.list_chunks()
    nursery.start_soon(slot.handover.run)
    nursery.start_soon(slot.awaited.run, slot.loader.list_chunks)
    nursery.start_soon(slot.loader.run)
    nursery.start_soon(slot.ground.run)
    nursery.start_soon(slot.intake.run)
    nursery.start_soon(slot.receiver.run)
    nursery.start_soon(slot.border.run, slot.chunks)
    nursery.start_soon(slot.presence.run)
    nursery.start_soon(slot.snapshots.run)
    nursery.start_soon(slot.collector.run)


async def _publish(
    slot: _Slot, outside: Outside, routes: Routes, holder: str, lose: Callable[[], None]
) -> None:
    async def lose_slot() -> None:
        lose()
        await trio.sleep_forever()  # Cancelled.

    await publish(
        slot.outbox,
        slot.records,
        lambda outgoing: outside.bus.publish(routes.slot, holder, outgoing),
        lose=slot.chunks.lose,
        lose_slot=lose_slot,
        finish=slot.inbox.finish,
    )
    # What was sent after the last look is dealt with, too: whoever comes next need not see it.
    await slot.receiver.forget_at_last()


async def _record(slot: _Slot, outside: Outside) -> None:
    await record(
        slot.records,
        outside.journal,
        lose=slot.chunks.lose,
        ask=lambda ask: slot.border.send(ask, slot.chunks),
        kept=slot.snapshots.kept,
        collected=slot.collector.collected,
        left_alone=slot.collector.left_alone,
        released=slot.handover.released,
    )
