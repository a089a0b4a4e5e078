-- Sessions are present for a while from now. Forgets those that ran out long ago.
-- KEYS: the presence.
-- ARGV: ms of presence, ms after which one that ran out is forgotten; then the sessions.
-- Reply: nothing.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 3, #ARGV do
  redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
