-- Offers: take tokens out of buckets and append a message to a slot's stream, each offer all or
-- nothing, one after another.
-- KEYS: the buckets, streams and bindings, each once; below they are named by their position.
-- ARGV: entries that a stream holds at most; then for each offer: position of its stream or 0,
--   its message, position of the binding or 0, its connection, field and expiry (of a command);
--   the number of its takes, and for each take: position of the bucket, tokens per second, burst.
-- Reply: for each offer 0 (done), -1 (the stream is full), -2 (the session has a later connection),
--   or the ms until it may be asked again.
-- Repeated: an offer of which the binding knows, or knows a later one of the same command id, is under
--   way, or was refused; it is done already.
-- A session without a binding (Redis may have lost it) offers freely, and nothing is noted.

local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local EPSILON = 1e-9 -- Tokens are sums of fractions: whoever waited as told must find a whole one.

local buckets = {}
local function bucket_of(position, per_second, burst)
  local bucket = buckets[position]
  if not bucket then
    local stored = redis.call('HMGET', KEYS[position], 'tokens', 'when')
    local tokens = burst
    if stored[1] then
      local waited = math.max(0, now - stored[2]) -- The clock of a server may be set back.
      tokens = math.min(burst, stored[1] + waited * per_second / 1000)
    end
    bucket = { tokens = tokens, per_second = per_second, burst = burst, taken = false }
    buckets[position] = bucket
  end
  return bucket
end

local lengths = {}
local function is_full(position)
  if not lengths[position] then
    lengths[position] = redis.call('XLEN', KEYS[position])
  end
  return lengths[position] >= tonumber(ARGV[1])
end

-- Takes all, or none and returns how long to wait.
local function take(takes)
  local wait = 0
  for _, bucket in ipairs(takes) do
    bucket.tokens = bucket.tokens - 1
    if bucket.tokens < -EPSILON then
      wait = math.max(wait, math.ceil(-bucket.tokens * 1000 / bucket.per_second))
    end
  end
  for _, bucket in ipairs(takes) do
    if wait > 0 then
      bucket.tokens = bucket.tokens + 1
    else
      bucket.taken = true
    end
  end
  return wait
end

-- What the binding says: is its connection a later one, was this offered before, may it be noted?
local function look(binding, connection, field, expires)
  if binding == 0 then
    return false, false, false
  end
  local known = redis.call('HMGET', KEYS[binding], 'connection', field)
  -- What expires earlier was made earlier: it is late, and a later use of its id has been decided.
  local is_again = known[2] and tonumber(expires) <= math.abs(tonumber(known[2]))
  return known[1] and known[1] ~= connection, is_again, known[1]
end

local verdicts = {}
local at = 2
while at <= #ARGV do
  local stream, message = tonumber(ARGV[at]), ARGV[at + 1]
  local binding, connection = tonumber(ARGV[at + 2]), ARGV[at + 3]
  local field, expires, count = ARGV[at + 4], ARGV[at + 5], tonumber(ARGV[at + 6])
  at = at + 7
  local takes = {}
  for i = 1, count do
    takes[i] = bucket_of(tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]))
    at = at + 3
  end
  local is_stale, is_again, is_bound = look(binding, connection, field, expires)
  if is_stale then
    verdicts[#verdicts + 1] = -2
  elseif is_again then
    verdicts[#verdicts + 1] = 0
  elseif stream > 0 and is_full(stream) then
    verdicts[#verdicts + 1] = -1
  else
    local wait = take(takes)
    if wait == 0 and stream > 0 then
      redis.call('XADD', KEYS[stream], '*', 'm', message)
      lengths[stream] = lengths[stream] + 1
      if is_bound then
        redis.call('HSET', KEYS[binding], field, expires)
      end
    end
    verdicts[#verdicts + 1] = wait
  end
end

for position, bucket in pairs(buckets) do
  if bucket.taken then
    -- A bucket that is full again is as good as none.
    local full_ms = (bucket.burst - bucket.tokens) * 1000 / bucket.per_second
    redis.call('HSET', KEYS[position], 'tokens', bucket.tokens, 'when', now)
    redis.call('PEXPIRE', KEYS[position], math.ceil(full_ms) + 1)
  end
end
return verdicts
