-- Tell the process that holds a slot to hand over all that it has, and to end.
-- KEYS: the lease, the news.
-- ARGV: prefix of what tells a process to drain, ms that this is remembered, news kept.
-- Reply: 1, or 0 when nobody holds the slot.

local holder = redis.call('GET', KEYS[1])
if not holder then
  return 0
end
redis.call('SET', ARGV[1] .. (string.match(holder, '^(.*)/') or holder), '1', 'PX', ARGV[2])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'n', '')
return 1
