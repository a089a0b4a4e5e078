-- Give a lease back, if it is still the holder's.
-- KEYS: the lease.
-- ARGV: holder.
-- Reply: nothing.

if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
