-- What shards do in one round trip each. A function is one transaction, and (unlike one statement)
-- each of its statements sees what was committed while the one before waited for a lock.
-- Rows are locked and inserted in order of their keys, so that two shards never wait for each other.


-- Lock the chunks against a taker until the end of the transaction; return those whose epoch is
-- not the given one.
create function fenced_chunks(chunks text[], epochs bigint[]) returns text[]
language plpgsql as $$
begin
    perform from chunk c where c.id = any (chunks) order by c.id for share;
    return array(
        select distinct mine.id from unnest(chunks, epochs) as mine (id, epoch)
        where not exists (select from chunk c where c.id = mine.id and c.epoch = mine.epoch)
        order by mine.id
    );
end $$;


create type journal_row as (
    chunk text, epoch bigint, tick bigint, ordinal integer, body bytea,
    session text, id text, seq bigint, ack_tick bigint, expires_at_ms bigint,
    transfer text
);


-- Write all rows of chunks that are still ours, or nothing. Answers with the fenced chunks, or with
-- what stands in the way (and then nothing was written).
create function journal_commit(
    chunks text[], epochs bigint[], ticks bigint[], ordinals integer[], bodies bytea[],
    sessions text[], ids text[], seqs bigint[], ack_ticks bigint[], expiries bigint[],
    transfers text[]
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
            transfers
        ) as r (
            chunk, epoch, tick, ordinal, body, session, id, seq, ack_tick, expires_at_ms, transfer
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
    insert into journal (chunk, tick, ordinal, epoch, body)
        select r.chunk, r.tick, r.ordinal, r.epoch, r.body from unnest(fresh) as r;
    return query select 'fenced', f, null, null from unnest(fenced) as f;
end $$;


-- Write facts, each of which may be written again to the same effect; returns the fenced chunks.
create function journal_record(
    result_chunks text[], result_epochs bigint[], sessions text[], ids text[], seqs bigint[],
    ticks bigint[], xs bigint[], ys bigint[], reasons text[],
    placed_chunks text[], placed_epochs bigint[], agents text[], placed_xs bigint[],
    placed_ys bigint[], presents boolean[],
    transfer_chunks text[], transfer_epochs bigint[], transfers text[], entereds boolean[]
) returns text[] language plpgsql as $$
declare
    fenced text[] := fenced_chunks(
        result_chunks || placed_chunks || transfer_chunks,
        result_epochs || placed_epochs || transfer_epochs
    );
begin
    update command c
    set result_seq = r.seq, result_tick = r.tick, result_chunk = r.chunk,
        result_x = r.x, result_y = r.y, result_reason = r.reason
    from unnest(result_chunks, sessions, ids, seqs, ticks, xs, ys, reasons)
        as r (chunk, session, id, seq, tick, x, y, reason)
    where c.session = r.session and c.id = r.id and c.result_seq is null
        and r.chunk <> all (fenced);
    perform from agent where id = any (agents) order by id for no key update;
    update agent a
    set chunk = r.chunk, x = r.x, y = r.y, present = r.present
    from (
        select distinct on (p.agent) p.* -- The last word on each agent.
        from unnest(placed_chunks, agents, placed_xs, placed_ys, presents)
            with ordinality as p (chunk, agent, x, y, present, n)
        where p.chunk <> all (fenced)
        order by p.agent, p.n desc
    ) r
    where a.id = r.agent;
    update transfer t
    set state = case when r.entered then 'entered' else 'refused' end
    from unnest(transfer_chunks, transfers, entereds) as r (chunk, id, entered)
    where t.id = r.id and t.state = 'admitted' and r.chunk <> all (fenced);
    return fenced;
end $$;


-- Store snapshots, and forget the journal that they cover; returns the fenced chunks.
create function save_snapshots(
    chunks text[], epochs bigint[], ticks bigint[], states bytea[], digests text[],
    empties boolean[]
) returns text[] language plpgsql as $$
declare
    fenced text[] := fenced_chunks(chunks, epochs);
begin
    insert into snapshot as kept (chunk, epoch, tick, state, digest, empty)
        select r.chunk, r.epoch, r.tick, r.state, r.digest, r.empty
        from unnest(chunks, epochs, ticks, states, digests, empties)
            as r (chunk, epoch, tick, state, digest, empty)
        where r.chunk <> all (fenced) order by r.chunk
    on conflict (chunk) do update
        set epoch = excluded.epoch, tick = excluded.tick, state = excluded.state,
            digest = excluded.digest, empty = excluded.empty, saved_at = excluded.saved_at
        where kept.tick <= excluded.tick; -- A late repetition takes nothing back.
    delete from journal j using unnest(chunks, ticks) as r (chunk, tick)
        where j.chunk = r.chunk and j.tick <= r.tick and r.chunk <> all (fenced);
    return fenced;
end $$;


-- Make chunks the holder's. One line a chunk (row_tick is null), then one a journal row after its
-- snapshot, in order.
create function take_chunks(chunks text[], new_holder text) returns table (
    chunk text, epoch bigint, generation integer, tick bigint, state bytea, digest text,
    row_tick bigint, row_ordinal integer, row_epoch bigint, row_body bytea
) language plpgsql as $$
#variable_conflict use_column
begin
    insert into chunk (id) select distinct asked from unnest(chunks) as asked order by asked
        on conflict do nothing;
    perform from chunk c where c.id = any (chunks) order by c.id for update;
    update chunk c set epoch = nextval('chunk_epoch'), holder = new_holder, taken_at = now()
        where c.id = any (chunks);
    return query
        select c.id, c.epoch, c.generation, coalesce(s.tick, c.tick), s.state, s.digest,
            null::bigint, null::integer, null::bigint, null::bytea
        from chunk c left join snapshot s on s.chunk = c.id
        where c.id = any (chunks) order by c.id;
    return query
        select c.id, null::bigint, null::integer, null::bigint, null::bytea, null::text,
            j.tick, j.ordinal, j.epoch, j.body
        from chunk c
        left join snapshot s on s.chunk = c.id
        join journal j on j.chunk = c.id and j.tick > coalesce(s.tick, c.tick)
        where c.id = any (chunks) order by c.id, j.tick, j.ordinal;
end $$;


-- Decide a transfer ``cancelled`` unless it is decided already; returns what it is.
create function cancel_transfer(that_transfer text) returns text language plpgsql as $$
begin
    insert into transfer (id, state) values (that_transfer, 'cancelled') on conflict do nothing;
    return (select state from transfer where id = that_transfer);
end $$;


-- Forget what nobody can ask for any more; returns how many rows went. Call until it is 0.
-- Sessions and their commands: a day after the end. Transfers: after an hour, and only when each
-- chunk that runs has been saved at least ten minutes later: an agent that still stands frozen at
-- its source (the shards may have been off all night) will ask about its transfer.
create function prune(rows_max integer) returns bigint language plpgsql as $$
declare
    old text[];
    gone bigint;
    total bigint := 0;
begin
    old := array(
        select id from session where least(ended_at, expires_at) < now() - interval '1 day'
        order by id limit rows_max
    );
    delete from command where ctid = any (array(
        select ctid from command where session = any (old) limit rows_max
    ));
    get diagnostics total = row_count;
    delete from session s where s.id = any (old)
        and not exists (select from command c where c.session = s.id);
    get diagnostics gone = row_count;
    total := total + gone;
    delete from transfer where ctid = any (array(
        select ctid from transfer
        where decided_at < least(
            now() - interval '1 hour',
            (select min(saved_at) from occupied) - interval '10 minutes'
        )
        limit rows_max
    ));
    get diagnostics gone = row_count;
    return total + gone;
end $$;
