-- Which sessions' presence ran out? One that is not known (Redis may have lost it) is given some
-- time first.
-- KEYS: the presence.
-- ARGV: ms that an unknown one is given; then the sessions.
-- Reply: those that are absent.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local absent = {}
for i = 2, #ARGV do
  local until_ms = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if not until_ms then
    redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i])
  elseif tonumber(until_ms) <= now then
    absent[#absent + 1] = ARGV[i]
  end
end
return absent
