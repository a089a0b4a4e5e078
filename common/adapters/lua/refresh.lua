-- Sessions are present for a while from now. Forgets those that ran out long ago.
-- A binding that Redis lost is made anew, as it was: connections keep their numbers. An older
-- connection takes it from nobody, and is told that it was replaced, which it may have missed.
-- KEYS: the presence; for each session its binding.
-- ARGV: ms of presence, ms after which one that ran out is forgotten, the gateway, ms that a
--   binding lives, prefix of gateways' channels; then for each session: its id, its connection.
-- Reply: the positions of those whose binding was lost.

local gateway, gateway_prefix = ARGV[3], ARGV[5]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function replace(whose, session, connection)
  local replaced = { type = 'replaced', session = session, connection = tonumber(connection) }
  redis.call('PUBLISH', gateway_prefix .. whose, cjson.encode(replaced))
end

local lost = {}
for i = 1, #KEYS - 1 do
  local binding, session, connection = KEYS[i + 1], ARGV[4 + 2 * i], ARGV[5 + 2 * i]
  redis.call('ZADD', KEYS[1], now + ARGV[1], session)
  local known = redis.call('HMGET', binding, 'connection', 'gateway')
  if known[1] and tonumber(known[1]) > tonumber(connection) then
    replace(gateway, session, connection)
  elseif known[1] ~= connection then
    redis.call('HSET', binding, 'gateway', gateway, 'connection', connection)
    redis.call('PEXPIRE', binding, ARGV[4])
    if known[2] then
      replace(known[2], session, known[1])
    end
    lost[#lost + 1] = i
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
return lost
