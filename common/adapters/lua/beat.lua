-- Note how somebody is doing, and when it said so.
-- KEYS: a hash of beats.
-- ARGV: who, what.
-- Reply: nothing.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', now) .. ARGV[2])
