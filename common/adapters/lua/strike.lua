-- Count a bad answer; the last of so many within the window starts a cooldown and a new count.
-- KEYS: the times of the agent's bad answers, its cooldown.
-- ARGV: ms of the window, how many, ms of the cooldown.
-- Reply: 1 when a cooldown started, else 0.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local count = redis.call('RPUSH', KEYS[1], string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
if count < tonumber(ARGV[2]) then
  return 0
end
-- The window slides: only the last answers are looked at, and how long ago the first of them was.
redis.call('LTRIM', KEYS[1], -ARGV[2], -1)
if now - redis.call('LINDEX', KEYS[1], 0) >= tonumber(ARGV[1]) then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[2], '1', 'PX', ARGV[3])
return 1
