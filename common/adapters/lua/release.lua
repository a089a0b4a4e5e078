-- A connection is lost: if it is still its session's, nobody serves the session, and its presence
-- runs out.
-- KEYS: the binding, the presence.
-- ARGV: session, connection, ms until it runs out.
-- Reply: nothing. The number of the connection stays, so that the next one is higher.

if redis.call('HGET', KEYS[1], 'connection') == ARGV[2] then
  local time = redis.call('TIME')
  redis.call('HDEL', KEYS[1], 'gateway')
  redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[3], ARGV[1])
end
