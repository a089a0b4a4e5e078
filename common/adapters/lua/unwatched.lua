-- For how long has nobody watched these chunks? One that is not known (Redis may have lost it) is
-- counted from now on.
-- KEYS: the watched chunks.
-- ARGV: the chunks.
-- Reply: for each the ms.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ages = {}
for i = 1, #ARGV do
  local at = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if not at then
    redis.call('ZADD', KEYS[1], now, ARGV[i])
  end
  ages[i] = math.max(0, now - (at or now)) -- The clock of a server may be set back.
end
return ages
