-- The deltas of a chunk after a tick, and the last tick published, in one moment.
-- KEYS: the stream of deltas, the fence.
-- ARGV: the tick.
-- Reply: the last tick as text, '0' when Redis knows of none; the entries of the stream.

local known = redis.call('GET', KEYS[2])
local last = known and string.match(known, ' (%d+)$') or '0'
return { last, redis.call('XRANGE', KEYS[1], '(' .. ARGV[1] .. '-0', '+') }
