-- Who drives an agent is the referee's business: a session that is over takes no agent.
-- Shards of before must be stopped: what they call is no longer there.

alter type journal_row add attribute driver text;

drop function journal_commit(
    text[], bigint[], bigint[], integer[], bytea[], text[], text[], bigint[], bigint[], bigint[],
    text[], text[], bigint[]
);


-- Write all rows of chunks that are still ours, or nothing. Answers with the fenced chunks, or with
-- what stands in the way (and then nothing was written).
create function journal_commit(
    chunks text[], epochs bigint[], ticks bigint[], ordinals integer[], bodies bytea[],
    sessions text[], ids text[], seqs bigint[], ack_ticks bigint[], expiries bigint[],
    transfers text[], digests text[], checksums bigint[], drivers text[]
) returns table (kind text, subject text, command text, state text) language plpgsql as $$
declare
    fenced text[] := fenced_chunks(chunks, epochs);
    fresh journal_row[];
    now_ms bigint;
    is_stopped boolean := false;
begin
    -- A row that is there to the last byte is our own, from a try whose answer was lost.
    fresh := array(
        select row(r.*)::journal_row
        from unnest(
            chunks, epochs, ticks, ordinals, bodies, sessions, ids, seqs, ack_ticks, expiries,
            transfers, digests, checksums, drivers
        ) as r (
            chunk, epoch, tick, ordinal, body, session, id, seq, ack_tick, expires_at_ms, transfer,
            digest, checksum, driver
        )
        where r.chunk <> all (fenced) and not exists (
            select from journal j
            where j.chunk = r.chunk and j.tick = r.tick and j.ordinal = r.ordinal
                and j.epoch = r.epoch and j.body = r.body
        )
    );
    -- Who ends a session waits until this is written, or has ended it and is seen here: so no
    -- driver is written after its end. Chunks are locked before sessions, and nobody who has a
    -- session waits for a chunk. Not one query with what is asked below: most commits bring no
    -- driver, and the planner would be paid for by each.
    if array_remove(drivers, null) <> '{}' then
        perform from session where id = any (drivers) order by id for share;
        return query
            select 'over', r.driver, null, case when exists (
                select from session mine join session other on other.agent = mine.agent
                where mine.id = r.driver and other.id <> mine.id and other.ended_at is null
            ) then 'replaced' end
            from unnest(fresh) as r
            where r.driver is not null and not exists (
                select from session s
                where s.id = r.driver and s.ended_at is null and s.expires_at > clock_timestamp()
            );
        is_stopped := found;
    end if;
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
    if found or is_stopped then
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
