-- Is a session present?
-- KEYS: the presence.
-- ARGV: session.
-- Reply: 1, also when it is not known: Redis may have lost it; 0 when its presence ran out.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local until_ms = redis.call('ZSCORE', KEYS[1], ARGV[1])
return (not until_ms or tonumber(until_ms) > now) and 1 or 0
