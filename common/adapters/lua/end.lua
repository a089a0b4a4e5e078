-- A session is over: tell the gateway that serves it, forget the binding, end the presence now.
-- KEYS: the binding, the presence.
-- ARGV: session, the message, prefix of gateways' channels.
-- Reply: nothing.

local gateway = redis.call('HGET', KEYS[1], 'gateway')
if gateway then
  redis.call('PUBLISH', ARGV[3] .. gateway, ARGV[2])
end
redis.call('DEL', KEYS[1])
local time = redis.call('TIME')
redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
