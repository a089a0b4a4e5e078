-- Who holds which slot, what waits in the streams, and which processes are there: in one moment.
-- KEYS: the beats of slots, the beats of processes, what tells the asking process to drain.
-- ARGV: ms that a slot's beat is fresh, and a process'; ms after which one is forgotten; prefix of
--   leases, prefix of slots' streams, how many slots there can be.
-- Reply: for each slot that is held or has something in its stream: slot, holder or '', length of
--   the stream, beat or ''; then name and beat of each process; then 1 when told to drain.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function fresh(stored, ms)
  local at, beat = string.match(stored or '0 ', '^(%d+) (.*)$')
  return now - at < tonumber(ms) and beat or '', now - at
end

local slots = {}
for slot = 0, tonumber(ARGV[6]) - 1 do
  local holder = redis.call('GET', ARGV[4] .. slot) or ''
  local waiting = redis.call('XLEN', ARGV[5] .. slot)
  if holder ~= '' or waiting > 0 then
    slots[#slots + 1] = slot
    slots[#slots + 1] = holder
    slots[#slots + 1] = waiting
    slots[#slots + 1] = fresh(redis.call('HGET', KEYS[1], slot), ARGV[1])
  end
end

local processes = {}
local all = redis.call('HGETALL', KEYS[2])
for i = 1, #all, 2 do
  local beat, age = fresh(all[i + 1], ARGV[2])
  if beat ~= '' then
    processes[#processes + 1] = all[i]
    processes[#processes + 1] = beat
  elseif age >= tonumber(ARGV[3]) then
    redis.call('HDEL', KEYS[2], all[i])
  end
end
return { slots, processes, redis.call('EXISTS', KEYS[3]) }
