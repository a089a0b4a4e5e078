-- Make a gateway the one that serves a session, and the session present.
-- KEYS: the binding, the presence.
-- ARGV: session, gateway, ms of presence, ms that a binding lives, prefix of gateways' channels,
--   prefix of offers, ms after which an expired offer is forgotten.
-- Reply: the number of the connection: the time (ms), or one more than the last one, whichever is
--   higher. So it is higher than any before, also than those that Redis lost, when it lost the
--   binding and an older connection made it anew. Then the commands under way, each with its
--   expiry: no connection with a lower number can offer any more.

local session, gateway, gateway_prefix = ARGV[1], ARGV[2], ARGV[5]
local offer_prefix, forgotten_ms = ARGV[6], ARGV[7]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local old, under_way = {}, {}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local field, value = fields[i], fields[i + 1]
  if string.sub(field, 1, #offer_prefix) ~= offer_prefix then
    old[field] = value
  elseif math.abs(tonumber(value)) + forgotten_ms < now then
    redis.call('HDEL', KEYS[1], field)
  elseif tonumber(value) > 0 then
    under_way[#under_way + 1] = string.sub(field, #offer_prefix + 1)
    under_way[#under_way + 1] = value
  end
end
local connection = math.max(now, (old.connection or 0) + 1)
redis.call('HSET', KEYS[1], 'gateway', gateway, 'connection', string.format('%.0f', connection))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('ZADD', KEYS[2], now + ARGV[3], session)
if old.gateway then
  local replaced = { type = 'replaced', session = session, connection = tonumber(old.connection) }
  redis.call('PUBLISH', gateway_prefix .. old.gateway, cjson.encode(replaced))
end
return { connection, under_way }
