-- What replays need: older snapshots of each chunk, the journal between them, and digests.
-- Shards of before must be stopped: what they call is no longer there.

create table past_snapshot (
    chunk text not null,
    tick bigint not null,
    epoch bigint not null,
    state bytea not null,
    digest text not null,
    primary key (chunk, tick)
);

-- digest: of the state before the tick, in the tick's first row. checksum: of the body (CRC-32).
-- Both null in rows of before.
alter table journal add column digest text, add column checksum bigint;
alter type journal_row add attribute digest text, add attribute checksum bigint;

drop function journal_commit(
    text[], bigint[], bigint[], integer[], bytea[], text[], text[], bigint[], bigint[], bigint[],
    text[]
);
drop function save_snapshots(text[], bigint[], bigint[], bytea[], text[], boolean[]);


-- Write all rows of chunks that are still ours, or nothing. Answers with the fenced chunks, or with
-- what stands in the way (and then nothing was written).
create function journal_commit(
    chunks text[], epochs bigint[], ticks bigint[], ordinals integer[], bodies bytea[],
    sessions text[], ids text[], seqs bigint[], ack_ticks bigint[], expiries bigint[],
    transfers text[], digests text[], checksums bigint[]
) returns table (kind text, subject text, command text, state text) language plpgsql as $$
declare
    fenced text[] := fenced_chunks(chunks, epochs);
    fresh journal_row[];
    now_ms bigint;
begin
    -- A row that is there to the last byte is our own, from a try whose answer was lost.
    fresh := array(
        select row(r.*)::journal_row
        from unnest(
            chunks, epochs, ticks, ordinals, bodies, sessions, ids, seqs, ack_ticks, expiries,
            transfers, digests, checksums
        ) as r (
            chunk, epoch, tick, ordinal, body, session, id, seq, ack_tick, expires_at_ms, transfer,
            digest, checksum
        )
        where r.chunk <> all (fenced) and not exists (
            select from journal j
            where j.chunk = r.chunk and j.tick = r.tick and j.ordinal = r.ordinal
                and j.epoch = r.epoch and j.body = r.body
        )
    );
    -- Read after the locks were granted: waiting for them may have taken a while.
    now_ms := extract(epoch from clock_timestamp()) * 1000;
    return query
        select 'known', r.session, r.id, null from unnest(fresh) as r
        where exists (select from command c where c.session = r.session and c.id = r.id)
        union all
        select 'decided', r.transfer, null, t.state
        from unnest(fresh) as r join transfer t on t.id = r.transfer
        union all
        select 'expired', r.session, r.id, null from unnest(fresh) as r
        where r.expires_at_ms < now_ms
            and not exists (select from command c where c.session = r.session and c.id = r.id);
    if found then
        return;
    end if;
    -- Somebody may be about to insert the same: then this waits, and fails as a whole.
    insert into command (session, id, seq, tick)
        select r.session, r.id, r.seq, r.ack_tick from unnest(fresh) as r
        where r.id is not null order by r.session, r.id;
    insert into transfer (id, state)
        select r.transfer, 'admitted' from unnest(fresh) as r
        where r.transfer is not null order by r.transfer;
    insert into journal (chunk, tick, ordinal, epoch, body, digest, checksum)
        select r.chunk, r.tick, r.ordinal, r.epoch, r.body, r.digest, r.checksum
        from unnest(fresh) as r;
    return query select 'fenced', f, null, null from unnest(fenced) as f;
end $$;


-- Store snapshots, keep past_max of those before them, and forget the journal up to the oldest
-- that is kept; returns the fenced chunks.
create function save_snapshots(
    chunks text[], epochs bigint[], ticks bigint[], states bytea[], digests text[],
    empties boolean[], past_max integer
) returns text[] language plpgsql as $$
declare
    fenced text[] := fenced_chunks(chunks, epochs);
begin
    insert into past_snapshot (chunk, tick, epoch, state, digest)
        select s.chunk, s.tick, s.epoch, s.state, s.digest
        from unnest(chunks, ticks) as r (chunk, tick) join snapshot s on s.chunk = r.chunk
        where s.tick < r.tick and r.chunk <> all (fenced) order by s.chunk;
    insert into snapshot as kept (chunk, epoch, tick, state, digest, empty)
        select r.chunk, r.epoch, r.tick, r.state, r.digest, r.empty
        from unnest(chunks, epochs, ticks, states, digests, empties)
            as r (chunk, epoch, tick, state, digest, empty)
        where r.chunk <> all (fenced) order by r.chunk
    on conflict (chunk) do update
        set epoch = excluded.epoch, tick = excluded.tick, state = excluded.state,
            digest = excluded.digest, empty = excluded.empty, saved_at = excluded.saved_at
        where kept.tick <= excluded.tick; -- A late repetition takes nothing back.
    delete from past_snapshot p
    using (
        select r.chunk, (
            select k.tick from past_snapshot k where k.chunk = r.chunk
            order by k.tick desc offset past_max - 1 limit 1
        ) as tick
        from unnest(chunks) as r (chunk) offset 0 -- Once a chunk, not once a row.
    ) as oldest
    where p.chunk = oldest.chunk and p.tick < oldest.tick and p.chunk <> all (fenced);
    delete from journal j
    using (
        select s.chunk, coalesce(
            (select min(p.tick) from past_snapshot p where p.chunk = s.chunk), s.tick
        ) as tick
        from unnest(chunks) as r (chunk) join snapshot s on s.chunk = r.chunk offset 0
    ) as oldest
    where j.chunk = oldest.chunk and j.tick <= oldest.tick and j.chunk <> all (fenced);
    return fenced;
end $$;
