-- Extend a lease that is still the holder's.
-- KEYS: the lease.
-- ARGV: holder, ms of a lease.
-- Reply: 1, or 0 when it is not.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
