-- Sessions are present for at least a while from now.
-- KEYS: the presence.
-- ARGV: the ms; then the sessions.
-- Reply: nothing.

local time = redis.call('TIME')
local until_ms = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
for i = 2, #ARGV do
  redis.call('ZADD', KEYS[1], 'GT', until_ms, ARGV[i])
end
