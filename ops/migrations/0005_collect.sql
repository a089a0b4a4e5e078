-- The end of a chunk: nobody is in it, nobody watches, nothing is under way.

-- Forget what is kept of chunks that are still ours, and begin their next generation where this
-- one's time ended. Returns those that were left as they are: somebody else has taken them, or an
-- input was journaled that their owner did not know of.
create function collect_chunks(chunks text[], epochs bigint[], ticks bigint[]) returns text[]
language plpgsql as $$
declare
    ended text[];
begin
    perform from chunk c where c.id = any (chunks) order by c.id for update;
    ended := array(
        select r.id from unnest(chunks, epochs, ticks) as r (id, epoch, tick)
        join chunk c on c.id = r.id and c.epoch = r.epoch and c.tick < r.tick
        where not exists (select from journal j where j.chunk = r.id and j.tick > r.tick)
    );
    -- The epoch rises, too: a save or a commit that was long under way must not come after this.
    update chunk c
        set generation = c.generation + 1, tick = r.tick, epoch = nextval('chunk_epoch')
        from unnest(chunks, ticks) as r (id, tick)
        where c.id = r.id and c.id = any (ended);
    delete from snapshot s where s.chunk = any (ended);
    delete from past_snapshot p where p.chunk = any (ended);
    delete from journal j where j.chunk = any (ended);
    -- One that ended at this very tick was collected by a try whose answer was lost.
    return array(
        select r.id from unnest(chunks, ticks) as r (id, tick)
        where not exists (select from chunk c where c.id = r.id and c.tick = r.tick)
        order by r.id
    );
end $$;

-- What shards that begin look for: chunks that were empty when their owner went away.
create index snapshot_empty on snapshot (chunk) where empty;
