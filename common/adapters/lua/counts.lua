-- The beats that are fresh, how many sessions are present, and the slots that are held.
-- KEYS: the beats of gateways, those of slots, the presence.
-- ARGV: ms that a beat is fresh, ms after which it is forgotten, prefix of leases.
-- Reply: beats of gateways, beats of slots, number of sessions, slots.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function fresh_beats(key, heard)
  local beats = {}
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local at, beat = string.match(all[i + 1], '^(%d+) (.*)$')
    local age = now - at
    if beat ~= '' and age < tonumber(ARGV[1]) then -- A lease without a beat yet has ''.
      beats[#beats + 1] = beat
    elseif age >= tonumber(ARGV[2]) then
      redis.call('HDEL', key, all[i])
    end
    heard(all[i])
  end
  return beats
end

local slots = {}
local gateway_beats = fresh_beats(KEYS[1], function() end)
local slot_beats = fresh_beats(KEYS[2], function(slot)
  if redis.call('EXISTS', ARGV[3] .. slot) == 1 then
    slots[#slots + 1] = slot
  end
end)
return { gateway_beats, slot_beats, redis.call('ZCOUNT', KEYS[3], '(' .. now, '+inf'), slots }
