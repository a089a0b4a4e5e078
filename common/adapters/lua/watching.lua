-- Somebody watches these chunks now. Forgets those that nobody has watched for long.
-- KEYS: the watched chunks.
-- ARGV: ms after which one is forgotten; then the chunks.
-- Reply: nothing.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 2, #ARGV do
  redis.call('ZADD', KEYS[1], now, ARGV[i])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[1])
