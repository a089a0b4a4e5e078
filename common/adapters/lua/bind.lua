-- Make a gateway the one that serves a session, and the session present.
-- KEYS: the binding, the presence.
-- ARGV: session, gateway, ms of presence, ms that a binding lives, prefix of gateways' channels.
-- Reply: the number of the connection: one more than the last one. It begins with the time (ms),
--   so that it does not go back when Redis lost the binding.

local session, gateway, gateway_prefix = ARGV[1], ARGV[2], ARGV[5]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local old = redis.call('HMGET', KEYS[1], 'gateway', 'connection')
local connection = old[2] and old[2] + 1 or now
redis.call('HSET', KEYS[1], 'gateway', gateway, 'connection', string.format('%.0f', connection))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('ZADD', KEYS[2], now + ARGV[3], session)
if old[1] then
  local replaced = { type = 'replaced', session = session, connection = tonumber(old[2]) }
  redis.call('PUBLISH', gateway_prefix .. old[1], cjson.encode(replaced))
end
return connection
