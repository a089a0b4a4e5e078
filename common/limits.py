"""Every bound in one place, each with its unit in the name and its reason beside it.

Pure. What an operator may change is a setting (``common.settings``), not a limit.
"""

from __future__ import annotations

# The world
TICK_HZ = 5  # The protocol's.
TICK_SECONDS = 1 / TICK_HZ
BEATS_PER_TICK = 20  # Moments at which chunks tick: 50 of a full shard at a time, 10 ms apart.
COORDINATE_MAX = 2**31  # The protocol's; also what a 32-bit client can hold.
MOVE_CHUNKS_MAX = 4  # The protocol's ``out_of_range``.
WAIT_TICKS_MAX = 50  # The protocol's.
CHAT_CHARACTERS_MAX = 280  # The protocol's.
SPAWN_CHUNK = "0:0"  # Where a new agent enters: one place, so that newcomers meet somebody.
CHUNK_AGENTS_MAX = 400  # A fifth of the floor: beyond that nobody can move any more.
BLOCKED_TICKS_MAX = 3  # Waits before a blocked walker looks for a way round.
REFUSED_TICKS = 5  # A refused agent waits this long before it asks at a border again: no flapping.
TERRAINS_MAX = 4_096  # Remembered in a process, 20 KB each: more than a shard has active chunks.
REPLANS_MAX = 12  # Ways round that a walker looks for in one chunk: each costs A* and some ticks.
REFUSALS_MAX = 3  # Then a walker gives up with ``boundary_refused``.
SNAPSHOT_TICKS = 150  # 30 s: what a recovery replays at the most, some ms a chunk.
PAST_SNAPSHOTS_MAX = 10  # Kept of a chunk, for replays: 5 minutes in which something happened.

# What clients may send
FRAME_BYTES_MAX = 16 * 1024  # The protocol's.
BODY_BYTES_MAX = 64 * 1024  # The protocol's.
BODY_SECONDS_MAX = 10.0  # Honest bodies fit in one packet; this ends a client that drips.
REST_SECONDS_MAX = 2.0  # After an early answer, for the rest of a body that nobody will look at.
BAD_FRAMES_MAX = 5  # The protocol's: the fifth closes.
CHUNKS_PER_VIEW_MAX = 25  # The protocol's.
NAME_CHARACTERS_MAX = 32  # The protocol's.
LABEL_CHARACTERS_MAX = 64  # A key's label is for a list that a person reads.
KEY_SECONDS_MAX = 10 * 366 * 86_400  # Ten years: beyond that "no expiry" is the honest word.

# Proof of commands
NONCE_BYTES = 16  # The protocol's.
CHALLENGE_MS = 2_000  # The protocol's ``challenge_ttl_ms``.
PIPELINED_CHALLENGE_MS = 30_000  # The protocol's.
CHALLENGES_ASKED_MAX = 64  # A burst of 20, 10 a second for their 2 s, and some that expired.
CHALLENGES_OFFERED_MAX = 512  # One with each ack, good for 30 s: 10 a second, and refusals.
STRIKE_WINDOW_MS = 60_000  # The protocol's.
INVALID_ANSWERS_MAX = 3  # The protocol's.
EXPIRED_ANSWERS_MAX = 5  # The protocol's.
COOLDOWN_MS = 30_000  # The protocol's.

# A command's way
COMMAND_MS_MAX = 6_000  # A command not journaled by then is never journaled: a spare had its 5 s.
COMMAND_GRACE_MS = (
    2_000  # How much later the gateway says ``unavailable``: clocks may differ by less.
)
SETTLE_MS_MAX = 4_000  # Then nobody knows what became of it: one question that hangs is enough.
REOFFER_SECONDS = 2.0  # An unanswered offer is repeated; the journal's unique key makes that safe.
OFFER_FORGOTTEN_MS = COMMAND_MS_MAX + COMMAND_GRACE_MS  # By then a later offer shows it expired.
OFFERS_PRUNED = 256  # Refused offers of a session are pruned each time there are so many more.
GATHER_SECONDS = 0.014  # What agents say soon after one another is dealt with together.
OFFER_BATCH_MAX = 500  # Offers in one Lua call: about 3 ms of Redis.
HOPS_MAX = 8  # A traveller crosses at most 4 chunks in the time of one message; twice that.
SLOT_STREAM_MAX = (
    20_000  # Messages waiting for a shard: 40 s of full load; beyond: ``unavailable``.
)
INTAKE_BATCH_MAX = 500  # Messages decided and journaled together.
INTAKE_WAIT_MS = 1_000  # How long a shard waits for messages before it looks round.

# Streams
DELTAS_KEPT_MS = 120_000  # The protocol's.
DELTAS_KEPT_TICKS = DELTAS_KEPT_MS * TICK_HZ // 1000  # At least as long: time only ever slows.
SESSION_LINES_MAX = 1_000  # Kept in Redis a session; older ones come from PostgreSQL.
AGENT_QUEUE_MAX = 256  # Frames waiting for one agent; beyond: closed with 4008.
SPECTATOR_QUEUE_MAX = 256  # The protocol's; beyond: resync.
SPECTATOR_OVERFLOWS_MAX = 3  # The protocol's: within OVERFLOW_WINDOW_SECONDS.
OVERFLOW_WINDOW_SECONDS = 60.0
READY_LINES_MAX = 256  # Encoded for views that are asked for again and again.
SPECTATOR_TAKE_MAX = 25  # Off the queue at once, a full view's tick: it can't be dropped any more.
FAN_OUT_SENDS = 100  # In one go: about a millisecond, which agents and calls have to wait.
ENDINGS_AT_ONCE = 10  # Of a stopping gateway's connections, each ENDINGS_STEP_SECONDS; more if
ENDINGS_STEP_SECONDS = 0.02  # there are many: all within the seconds below, in GRACE_SECONDS,
STREAMS_ENDED_SECONDS = 0.6  # so that their clients do not all come to another gateway at once.
AGENTS_ENDED_SECONDS = 0.2  # Less, for the last one has CLOSE_SECONDS_MAX after that.
SEND_SECONDS_MAX = 20.0  # A client that takes nothing of a write for so long has gone.
SEND_BYTES_MAX = 4 * 1024  # Of a write, watched at once: at 200 bytes a second it is still alive.
# A spectator may take nothing for longer: its queue takes 51 s to fill at a chunk's five events a
# second. A stop beyond DELTAS_KEPT_MS could not even be made up for by coming back.
STILL_SECONDS_MAX = 120.0
HEARTBEAT_SECONDS = 10.0  # Under the protocol's 15 s.
PING_SECONDS = 20.0  # Agents' WebSocket pings: finds the peers that vanished.
FEED_PENDING_MAX = 600  # Deltas held while a chunk's static is on its way: 120 s of them.
INBOUND_MAX = (
    10_000  # Messages from Redis waiting in a gateway; beyond: the subscription is restarted.
)
INBOUND_AT_ONCE = 100  # Handed on in one go: some ms, which other tasks have to wait.
SHOW_SECONDS = 1.0  # A chunk's static is asked for again this often, until it comes.
STALE_SHOWS_MAX = (
    3  # After so many askings an answer is no longer taken for one to an older asking.
)
FEED_LINGER_SECONDS = 5.0  # A feed outlives its last listener: a page being loaded again is usual.
OPENING_SECONDS_MAX = 1.0  # How long a view's first statics wait for each other's turn.

# Connections, whatever they speak
HEAD_BYTES_MAX = 16 * 1024  # A token, an id of 25 chunks, and what proxies add: a few KB.
HEAD_SECONDS_MAX = 10.0  # For the head of a request, and for being idle between two.
LINGER_SECONDS = 2.0  # After our last byte: time for the client to read it before the socket goes.
ABANDONED_SECONDS_MAX = 5.0  # How long an endpoint may tidy up once its client is gone.
VANISHED_SECONDS_MAX = 30.0  # Nothing acknowledged for so long: more than SEND_SECONDS_MAX.
STILL_VANISHED_SECONDS_MAX = 130.0  # The same of a spectator: TCP asks it at least every 120 s.
AHEAD_TICKS_MAX = 50  # A client that was told so many more by another gateway may be right,
AHEAD_SECONDS_MAX = 4.0  # and is shown no older chunk for so long: longer than a lost subscription.
AHEAD_LOOK_SECONDS = 0.2  # A tick.
BACKLOG = 4096  # Connections not yet accepted: a crowd that comes back after a restart.
GOODBYE_SECONDS_MAX = 0.5  # For our last words to a client that may not be reading.
FAREWELL_SECONDS_MAX = 30.0  # For a spectator that is too slow, to read why it is sent away.
LOOKS_AT_ONCE = 50  # Sockets of which something is noticed in one go: some ms of commands.
SEND_BUFFER_BYTES = 128 * 1024  # The kernel's, a socket: a slow reader costs this and its queue.

# Operators
MODERATION_SECONDS = 0.4  # A gateway asks this often what agents may not say: known in a second.
WORDS_MAX = 1_000  # Banned ones: read anew by each gateway when one changes.
WORD_CHARACTERS_MAX = 64
MUTE_SECONDS_MAX = 366 * 86_400  # A year: beyond that a ban is the honest word.
PAGE_ITEMS = 100  # Of a list, if it is not asked for more or less,
PAGE_ITEMS_MAX = 500  # and at most: some tens of KB.
TARGET_CHARACTERS_MAX = 128  # Of what a row of the audit log quotes from outside.

# Sessions and presence
RESUME_MS = 60_000  # The protocol's.
RESUME_OFFERS_MAX = 8  # Unconfirmed tokens of a session: connections that race for it; then the
# oldest is forgotten.
PRESENCE_BEAT_SECONDS = 5.0
BEAT_MS_MAX = 5_000  # Older beats do not count: whoever sent them is gone, or as good as gone.
PRESENCE_MS = RESUME_MS + 5_000  # A beat may be late by one interval and nobody loses a second.
ATTACH_SECONDS_MAX = 8.0  # A spare has 5 s to take over; then the client gets 503.
SESSION_HOURS_MAX = 24  # A session's age at most; the agent opens a new one.

# The agent WebSocket
ANSWERS_KEPT_MAX = 64  # Acks and results a session at hand; older ones come from PostgreSQL.
PENDING_PER_SESSION_MAX = 32  # Commands offered and not yet acked; only ``say`` can be so many.
LINES_HELD_MAX = 256  # Lines that wait for an earlier one; beyond: closed with 1013.
LINES_WAIT_SECONDS = 0.25  # Until a missing line is looked for again: results are recorded lazily.
LINES_LOOK_SECONDS = 20.0  # Without news of a command that runs; then Redis is asked.
CLOSE_SECONDS_MAX = 0.8  # For the client's half of the closing handshake: a stop takes a second.
PARTING_SECONDS_MAX = 1.5  # For results that a session's end is to bring; the protocol has 2 s.
ADMISSION_SECONDS_MAX = 12.0  # From the request to the upgrade: the attach, and what is around it.
SWEEP_SECONDS = 1.0  # Stuck writes, ended sessions and lost agents are looked for this often.
AGENT_WRITE_BYTES = 64 * 1024  # Of waiting frames, joined: what the kernel takes at once, or not.
FRAMES_WAITING_MAX = 10  # Of a client, while one is dealt with; beyond, no more is read from it.
OFFER_QUEUE_MAX = 10_000  # Offers waiting for their batch: twice what a full gateway says a second.

# Ownership
LEASE_MS = 3_000  # A spare takes over within 5 s: this, a third of it, and the recovery.
LEASE_RENEWALS = 3  # Renewed at a third of its life.
SHARDS_MAX = 64  # Slots: each look goes through all of them, 0.2 ms of Redis.
NEWS_KEPT = 100  # Who missed more than these looks once all the same.
DRAIN_TOLD_MS = 60_000  # A process that has not heard of it by then is gone.
PUBLISH_QUEUE_MAX = 5_000  # Ticks' results waiting for Redis; beyond: chunks wait, so time slows.

# The life of a chunk
COLLECT_SECONDS = 300.0  # Nobody in it, nobody watching, nothing in flight for so long: collected.
COLLECT_LOOKS = 12  # So often in that time deserted chunks are looked for, and watched ones named.
COLLECT_BATCH_MAX = 500  # Chunks asked about, and collected, in one call: a few ms.
WATCH_LAPSED_LOOKS = (
    COLLECT_LOOKS // 2
)  # Unsaid for so many: what a gateway knows is asked for anew.
CREATION_MS = 2_000  # A claim to create a chunk; over before a dead holder's LEASE_MS is.

# Inside a shard
TAKE_BATCH_MAX = 50  # Chunks taken in one go: the intake waits for one such batch at the most.
PUBLISH_BATCH_MAX = 1_000  # Emissions in one publication: some ms of Redis.
RECORD_BATCH_MAX = 500  # Emissions recorded in one go, so that a snapshot never waits for long.
RECORD_QUEUE_MAX = 5_000  # Emissions waiting for PostgreSQL; beyond: the publisher waits.
HELD_MAX = 1_000  # Messages waiting for a border to answer; beyond: ``unavailable``.
INNER_MAX = 2_000  # Messages of a shard to itself; beyond: dropped, all of them are repeated.
TRACES_MAX = 50_000  # Accepted commands whose trace a shard remembers until they end: 10 MB.
TRAILS_MAX = 50_000  # Agents whose last step out of here is remembered; else PostgreSQL is asked.
GENERATIONS_MAX = 10_000  # Chunks that nobody holds and somebody watched, remembered.
LOOKUPS_MAX = 8  # Questions to PostgreSQL at a time: what its pool of connections can take.
DECIDE_ROUNDS_MAX = 20  # A batch is decided anew so often (a fence, a conflict); then refused.
ASK_AGAIN_SECONDS = 1.0  # A question at a border is repeated this often.
CROSSING_SECONDS = 2.0  # After so long without an answer the source tries to call it off.
LOOK_SECONDS = 0.5  # A shard process looks at who is there this often, beside at each news,
RANK_SECONDS = 0.5  # and leaves a slot for so long to each who is before it: with LEASE_MS < 5 s.
NEWCOMER_SECONDS = 5.0  # A process that is started for a wanted slot is there by then.
GATEWAY_LOOK_SECONDS = 1.0  # A gateway looks at the topology this often, beside at each news.
VACANCY_LOOK_SECONDS = 5.0  # A gateway counts held slots this often: as Prometheus asks.
ABLE_MS_MAX = 2_500  # A process without a beat for so long gets no slot: LEASE_MS is longer.
HANDOVER_SECONDS = 1.0  # After the last word of chunks' owners of before they are taken for dead,
HANDOVER_SECONDS_MAX = 3.0  # and so long after a change in any case.
HANDOVER_BATCH_MAX = 25  # Chunks that stand still together while they are saved: some ms.
SURPLUS_SECONDS = 5.0  # A slot that is no more is served so long for late gateways, and drained.
YIELDED_SECONDS_MAX = 2.0  # A slot that was given back is waited for so long to be taken.
PAUSES_MAX = 10_000  # Of chunks handed over, remembered: more than a slot has at work.
PRESENCE_SECONDS = 1.0  # The sessions whose presence ran out are asked for this often,
PRESENCE_ROUND_SECONDS = 15.0  # and all of them this often: Redis may have lost some.
PRUNE_SECONDS = 3600.0  # What is pruned was kept for a day, or for an hour at least.
PRUNE_SECONDS_MAX = 60.0  # A minute of small portions; what is left waits for the next hour.
GROUND_LOOK_SECONDS = 1.0  # Chunks that woke up are looked for this often, to lay out their ground.
GROUND_SHARE_MAX = 0.2  # Of the processor, for that: 1,000 chunks after a restart take 15 s.
BEAT_SECONDS = 1.0  # A slot says how it is doing this often.
BUSIEST_MAX = 256  # Chunks that it names then, of any number: some 4 KB a second.
BACKOFF_SECONDS_MIN = 0.05  # Between two tries of what must be done; doubled each time,
BACKOFF_SECONDS_MAX = 1.0  # up to this: an outage is noticed to be over within a second.
SPAWN_CHUNKS_MAX = 25  # Chunks that a newcomer is sent round to for room: 10,000 agents.
SILENT_TICKS_MAX = 2 * WAIT_TICKS_MAX  # Nobody who does anything is quiet for longer.
LOST_TICKS = 2 * SNAPSHOT_TICKS  # Run again when Redis lost what was shown: snapshots may be late.
CLOCKS_SECONDS_MAX = 2.0  # To save how late it is in chunks at rest, before a slot is given back.
FINISH_SECONDS_MAX = 1.0  # On stop, a batch being decided has this long of SHUTDOWN_SECONDS_MAX.
LATENESSES_MAX = 10_000  # Ticks of which the lateness is kept between two beats.

# Waiting for what is outside; the caller sets these, see common/errors.py for what follows
REDIS_SECONDS_MAX = 2.0
# A call given up after so long was left unanswered, whosever deadline it was: this is less than any
REDIS_UNANSWERED_SECONDS = 0.5  # caller's, of which the one of a lease's renewal is the shortest.
REDIS_CALLS_MAX = 32  # At once, a process: Redis does one at a time; more only fill its queue.
REDIS_FAILURES_MAX = 5  # In a row; then nobody waits for Redis for REDIS_PAUSE_SECONDS.
REDIS_PAUSE_SECONDS = 0.5  # Short beside LEASE_MS: a lease must survive a hiccup.
REDIS_RECONNECT_SECONDS_MAX = 1.0  # Between two tries to subscribe again; jittered.
REDIS_SILENCE_SECONDS = 2.0  # A subscription that heard nothing is pinged, then given up.
POSTGRES_SECONDS_MAX = 5.0
POSTGRES_UNANSWERED_SECONDS = 1.5  # The same; the shortest is that of a row of the audit log.
POSTGRES_CONNECTIONS_MAX = 4  # A process: more would wait for our one core, not for the disk.
POSTGRES_FAILURES_MAX = 5  # In a row; then nobody asks for POSTGRES_PAUSE_SECONDS, but one probe.
PRUNE_ROWS_MAX = 5_000  # In one statement: a fraction of a second.
POSTGRES_PAUSE_SECONDS = 1.0  # Recovery is noticed within a second.
READY_SECONDS_MAX = 3.0  # A probe that waits longer than this is a "no" to whoever asks /readyz.
RETRIES_MAX = 3
SPANS_WAITING_MAX = 4_096  # To be exported, some 2 MB; beyond: dropped and counted.
SPANS_BATCH_MAX = 128  # Encoded in one go: some ms in which ticks share the processor with it.
SPANS_SECONDS = 1.0  # Between two looks for spans to export.
SPANS_LAST_SECONDS_MAX = 0.2  # For those that are left when a process stops: of EXIT_SECONDS.
ANSWER_SECONDS_MAX = 8.0  # An HTTP call's work: one slow PostgreSQL and Redis, and some air.
RETRY_AFTER_MS = 1_000  # Said with ``unavailable``: about what a reconnection takes.
COUNTS_SECONDS = 1.0  # ``/v1/world`` and ``/v1/chunks`` may be this old: one call a second.
KEY_USED_SECONDS = 60.0  # ``last_used_at`` is this coarse: a write a minute, not one a call.

# Stopping. ``tessera up`` promises STOP_SECONDS_MAX: a clock runs from the signal on, the stages
# follow each other, and who is quick leaves more to the next. Each stage has at least what its
# processes allow themselves; who is not gone by then is killed.
STOP_SECONDS_MAX = 5.0  # Promised.
EXIT_SECONDS = 0.5  # Of a process, after its last deed: closing connections, and Python's own end.
BOTS_ENDED_SECONDS = 0.2 + EXIT_SECONDS  # They hang up; nobody minds if they can't.
GRACE_SECONDS = 1.2  # For what is under way when a gateway stops: the goodbyes, and some air.
GATEWAYS_ENDED_SECONDS = BOTS_ENDED_SECONDS + GRACE_SECONDS + EXIT_SECONDS
SHUTDOWN_SECONDS_MAX = 2.0  # A process; a shard finishes, sends its snapshots, frees its slot.
SHARDS_ENDED_SECONDS = GATEWAYS_ENDED_SECONDS + SHUTDOWN_SECONDS_MAX
SERVERS_ENDED_SECONDS = SHARDS_ENDED_SECONDS + 0.4  # At the worst; killed, they recover.

# The supervisor
FLEET_LOOK_SECONDS = 0.5  # How often it looks whether there are to be more shards, or fewer.
RESTART_SECONDS_MIN = 0.2  # The first time: agents wait.
RESTART_SECONDS_MAX = 10.0  # For a child that can't start, until somebody mends it.
STEADY_SECONDS = 10.0  # A child that lived this long was well; its death counts as a first one.
FORK_SECONDS_MAX = 2.0  # It takes 10 ms; else a program is started instead.
START_SECONDS_MAX = 60.0  # From birth to ready; a cold disk and a long journal take their time.
START_DEATHS_MAX = 3  # One may be an accident; more of them on the way up are no use to wait for.
SURVIVORS_SECONDS_MAX = 5.0  # Children of a killed supervisor are gone within one.
LOG_LINE_BYTES_MAX = 64 * 1024  # Of a child's output; a longer line comes in pieces.
RELAY_SECONDS_MAX = 0.3  # A dead child's last words; its orphans may hold the pipe for longer.
REACH_SECONDS_MAX = 5.0  # For a server that the operator named: started together with us, at worst.
DISK_BYTES_MIN = 2**30  # A new PostgreSQL and its log want half of that; the rest is for living.
