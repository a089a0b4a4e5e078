-- The end of a chunk: nobody is in it, nobody watches, nothing is under way.

-- Forget what is kept of chunks that are still ours, and begin their next generation where this
-- one's time ended. Returns those that were left as they are: somebody else has taken them, or an
-- input was journaled that their owner did not know of.
create function collect_chunks(chunks text[], epochs bigint[], ticks bigint[]) returns text[]
language plpgsql as $$
declare
    left_alone text[];
begin
    perform from chunk c where c.id = any (chunks) order by c.id for update;
    left_alone := array(
        select r.id from unnest(chunks, epochs, ticks) as r (id, epoch, tick)
        where not exists (select from chunk c where c.id = r.id and c.epoch = r.epoch)
            or exists (select from journal j where j.chunk = r.id and j.tick > r.tick)
        order by r.id
    );
    update chunk c set generation = c.generation + 1, tick = r.tick
        from unnest(chunks, ticks) as r (id, tick)
        where c.id = r.id and c.id <> all (left_alone)
            and c.tick < r.tick; -- A repetition does not begin yet another one.
    delete from snapshot s where s.chunk = any (chunks) and s.chunk <> all (left_alone);
    delete from journal j where j.chunk = any (chunks) and j.chunk <> all (left_alone);
    return left_alone;
end $$;

-- What shards that begin look for: chunks that were empty when their owner went away.
create index snapshot_empty on snapshot (chunk) where empty;
