-- Which sessions' presence ran out lately?
-- KEYS: the presence.
-- ARGV: since when (ms), or '' to be told only the time.
-- Reply: the time (ms), the sessions.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[1] == '' then
  return { now, {} }
end
return { now, redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], now) }
