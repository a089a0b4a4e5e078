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


-- As take_chunks without a topology, which shards of before call; but nothing is taken, and nothing
-- returned, when the topology in force is not the given one: whose chunks they are has changed.
create function take_chunks(chunks text[], new_holder text, by_topology bigint) returns table (
    chunk text, epoch bigint, generation integer, tick bigint, state bytea, digest text,
    row_tick bigint, row_ordinal integer, row_epoch bigint, row_body bytea
) language plpgsql as $$
begin
    if by_topology is null or by_topology = (select t.epoch from topology t) then
        return query select * from take_chunks(chunks, new_holder);
    end if;
end $$;
