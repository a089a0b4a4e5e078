-- Give a lease back, if it is still the holder's.
-- KEYS: the lease, the news.
-- ARGV: holder, news kept.
-- Reply: nothing.

if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', 'n', '')
end
