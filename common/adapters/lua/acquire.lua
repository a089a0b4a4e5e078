-- Take a slot that is nobody's, or extend one that is the holder's already.
-- KEYS: the lease, the beats of slots, the news.
-- ARGV: slot, holder, ms of a lease, news kept.
-- Reply: 1 when it is the holder's, else 0.

local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[2] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
-- A lease can't be found by its slot alone; the first beat is yet to come.
local time = redis.call('TIME')
redis.call('HSETNX', KEYS[2], ARGV[1], time[1] .. '000 ')
if not holder then
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[4], '*', 'n', '')
end
return 1
