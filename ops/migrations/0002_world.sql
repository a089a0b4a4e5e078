-- The world, and who owns which part of it: what the shards read and write.
-- No foreign keys here: each would be a look-up and a row lock on the way of every command.

create table world (
    id text not null,
    seed bigint not null,
    one boolean primary key default true check (one) -- There is one world in a database.
);

create table topology (
    epoch bigint not null,
    shard_count integer not null check (shard_count > 0),
    one boolean primary key default true check (one)
);

-- Ownership. This row is the referee: every write of a chunk locks it FOR SHARE and compares the
-- epoch; taking the chunk updates it. So a taker waits for what is being written, and then sees
-- it; and who writes after it sees the new epoch, and writes nothing.
create table chunk (
    id text primary key,
    generation integer not null default 1,
    epoch bigint not null default 0,
    holder text not null default '', -- For the operator's eyes only.
    tick bigint not null default 0, -- Where the clock stands without snapshot and journal.
    taken_at timestamptz not null default now()
) with (fillfactor = 50); -- Updated by every taking, locked by every write.

create sequence chunk_epoch;

create table snapshot (
    chunk text primary key,
    tick bigint not null,
    epoch bigint not null,
    state bytea not null,
    digest text not null,
    empty boolean not null, -- Nobody is inside: nobody needs to wake it up.
    saved_at timestamptz not null default now()
) with (fillfactor = 70);

create table journal (
    chunk text not null,
    tick bigint not null,
    ordinal integer not null,
    epoch bigint not null,
    body bytea not null,
    primary key (chunk, tick, ordinal)
) with (autovacuum_vacuum_scale_factor = 0.05); -- All of it is deleted within a minute.

-- A command's row outlives its journal row: its id is answered the same for as long as the
-- session is remembered.
create table command (
    session text not null,
    id text not null,
    seq bigint not null,
    tick bigint not null,
    result_seq bigint,
    result_tick bigint,
    result_chunk text,
    result_x bigint,
    result_y bigint,
    result_reason text,
    primary key (session, id)
) with (fillfactor = 70); -- Each is updated once, with its result.

-- Whoever inserts first has decided.
create table transfer (
    id text primary key,
    state text not null check (state in ('admitted', 'entered', 'refused', 'cancelled')),
    decided_at timestamptz not null default now()
) with (fillfactor = 80);

create index transfer_decided on transfer (decided_at); -- For pruning.

-- Chunks that somebody has to run: someone is inside, or the journal goes beyond the snapshot.
create view occupied as
select c.id, coalesce(s.saved_at, '-infinity') as saved_at
from chunk c left join snapshot s on s.chunk = c.id
where not coalesce(s.empty, true)
    or exists (select from journal j where j.chunk = c.id and j.tick > coalesce(s.tick, c.tick));
