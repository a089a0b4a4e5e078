-- A topology that changes while the world runs: what is wanted, beside what is in force.
-- Shards of before go on with this database, at the count that they began with.

alter table topology
    add column last_epoch bigint,
    -- Null while nothing else is wanted.
    add column wanted_epoch bigint,
    add column wanted_count integer check (wanted_count > 0);
update topology set last_epoch = epoch;
alter table topology alter column last_epoch set default 1, alter column last_epoch set not null;


-- Want so many slots, in place of what was wanted before; returns the epoch and count that will be
-- in force then: also those of before, when they are in force, or wanted, already.
create function ask_reshard(that_count integer)
returns table (epoch bigint, shard_count integer) language plpgsql as $$
#variable_conflict use_column
begin
    update topology t set
        wanted_epoch = case
            when that_count = t.shard_count then null
            when that_count = t.wanted_count then t.wanted_epoch
            else t.last_epoch + 1
        end,
        wanted_count = nullif(that_count, t.shard_count),
        last_epoch = t.last_epoch
            + (that_count <> t.shard_count and that_count is distinct from t.wanted_count)::int;
    return query
        select coalesce(t.wanted_epoch, t.epoch), coalesce(t.wanted_count, t.shard_count)
        from topology t;
end $$;


-- Put in force what is wanted, if it still is that; anybody may call it, any number of times.
create function begin_topology(that_epoch bigint) returns void language sql as $$
    update topology
    set epoch = wanted_epoch, shard_count = wanted_count, wanted_epoch = null, wanted_count = null
    where wanted_epoch = that_epoch;
$$;


-- Whose owner stopped at this very tick and said so: nothing happened after it that nobody saw.
alter table snapshot add column final_epoch bigint;


-- As save_snapshots, which shards of before call; those of ``finals`` are the last of their owner.
create function save_snapshots(
    chunks text[], epochs bigint[], ticks bigint[], states bytea[], digests text[],
    empties boolean[], past_max integer, finals boolean[]
) returns text[] language plpgsql as $$
declare
    fenced text[] := save_snapshots(chunks, epochs, ticks, states, digests, empties, past_max);
begin
    update snapshot s set final_epoch = case when r.final then r.epoch end
        from unnest(chunks, epochs, ticks, finals) as r (chunk, epoch, tick, final)
        where s.chunk = r.chunk and s.epoch = r.epoch and s.tick = r.tick
            and (r.final or s.final_epoch is not null) and r.chunk <> all (fenced);
    return fenced;
end $$;


-- As take_chunks without a topology, which shards of before call; but nothing is taken, and nothing
-- returned, when the topology in force is not the given one: whose chunks they are has changed.
-- ``final``: the snapshot is the last of the owner of before.
create function take_chunks(chunks text[], new_holder text, by_topology bigint) returns table (
    chunk text, epoch bigint, generation integer, tick bigint, state bytea, digest text,
    row_tick bigint, row_ordinal integer, row_epoch bigint, row_body bytea, final boolean
) language plpgsql as $$
#variable_conflict use_column
declare
    finals text[];
begin
    if by_topology is not null and by_topology <> (select t.epoch from topology t) then
        return;
    end if;
    -- In the order of their ids, as everywhere; take_chunks locks the same again.
    perform from chunk c where c.id = any (chunks) order by c.id for update;
    finals := array(
        select c.id from chunk c join snapshot s on s.chunk = c.id
        where c.id = any (chunks) and s.epoch = c.epoch and s.final_epoch = c.epoch
    );
    return query
        select k.chunk, k.epoch, k.generation, k.tick, k.state, k.digest, k.row_tick,
            k.row_ordinal, k.row_epoch, k.row_body, k.chunk = any (finals)
        from take_chunks(chunks, new_holder) k;
end $$;
