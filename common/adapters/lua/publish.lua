-- What the holder of a slot has to say: deltas, lines, refusals, replies, forwards, in this order.
-- KEYS: the slot's lease, its stream; for each delta its stream (also its channel) and its fence;
--   for each line its stream and the binding of its session; for each refusal that binding; for
--   each forward the other slot's stream.
-- ARGV: the holder; how many deltas, lines, refusals, replies, forwards; ms a stream of deltas
--   lives after the last one; ticks of deltas kept; lines kept; ms that fences and lines live; the
--   prefix of gateways' channels and that of offers; ms by which an expired offer must be older
--   than a refused one to be forgotten, and how many more make it worth looking. Then for each
--   delta: epoch, tick, prev_tick, data; line: seq, field of the offer that it accepts or '', data;
--   refusal: its position in the slot's stream, the field of its offer, the expiry, 1 if it is to be
--   told, data; reply: gateway, data; forward: its position in the slot's stream or '', data.
-- Reply: the positions of the deltas that a newer epoch shut out; nothing of those was done. Nil
--   when the slot is not the holder's: nothing at all was done.
-- Repeated: a tick or seq that is not later than the last one is passed over, unpublished; what is
-- no longer in the slot's stream is neither refused nor forwarded.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return false
end
local slot = KEYS[2]
local deltas, lines, refusals = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local replies, forwards = tonumber(ARGV[5]), tonumber(ARGV[6])
local deltas_ms, ticks_kept, lines_kept = ARGV[7], tonumber(ARGV[8]), ARGV[9]
local remembered_ms, gateway_prefix, offer_prefix = ARGV[10], ARGV[11], ARGV[12]
local forgotten_ms, pruned = tonumber(ARGV[13]), tonumber(ARGV[14])
local k, a = 2, 14

local function last_id(stream)
  local top = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)
  return top[1] and tonumber(string.match(top[1][1], '^%d+')) or 0
end

local refused = {}
for i = 1, deltas do
  local stream, fence = KEYS[k + 1], KEYS[k + 2]
  local epoch, tick, prev_tick, data = ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4]
  k, a = k + 2, a + 4
  local known = redis.call('GET', fence)
  local fenced, last
  if known then
    fenced, last = string.match(known, '^(%d+) (%d+)$')
    fenced, last = tonumber(fenced), tonumber(last)
  else
    fenced, last = 0, last_id(stream)
  end
  if tonumber(epoch) < fenced then
    refused[#refused + 1] = i
  elseif tonumber(tick) > last then
    local oldest = math.max(0, tick - ticks_kept)
    redis.call('XADD', stream, 'MINID', '~', oldest, tick .. '-0', 'p', prev_tick, 'd', data)
    redis.call('PEXPIRE', stream, deltas_ms)
    redis.call('SET', fence, epoch .. ' ' .. tick, 'PX', remembered_ms)
    redis.call('PUBLISH', stream, tick .. ' ' .. prev_tick .. ' ' .. data)
  elseif tonumber(epoch) > fenced then
    redis.call('SET', fence, epoch .. ' ' .. string.format('%.0f', last), 'PX', remembered_ms)
  end
end

-- One PUBLISH a gateway: its messages are JSON without line feeds, so a line feed parts them.
local gateways, mail = {}, {}
local function send(gateway, data)
  if not mail[gateway] then
    gateways[#gateways + 1] = gateway
    mail[gateway] = {}
  end
  table.insert(mail[gateway], data)
end

local bound = {}
local function tell(binding, data)
  if bound[binding] == nil then
    bound[binding] = redis.call('HGET', binding, 'gateway')
  end
  if bound[binding] then
    send(bound[binding], data)
  end
end

for i = 1, lines do
  local stream, binding = KEYS[k + 1], KEYS[k + 2]
  local seq, offer, data = ARGV[a + 1], ARGV[a + 2], ARGV[a + 3]
  k, a = k + 2, a + 3
  if tonumber(seq) > last_id(stream) then
    redis.call('XADD', stream, 'MAXLEN', '~', lines_kept, seq .. '-0', 'd', data)
    redis.call('PEXPIRE', stream, remembered_ms)
    if offer ~= '' then
      redis.call('HDEL', binding, offer)
    end
    tell(binding, data)
  end
end

-- Refused offers stay noted, so that one that is repeated late is not made anew; not for ever.
local function prune(binding, expires)
  if redis.call('HLEN', binding) % pruned > 0 then
    return
  end
  local fields = redis.call('HGETALL', binding)
  for i = 1, #fields, 2 do
    local is_offer = string.sub(fields[i], 1, #offer_prefix) == offer_prefix
    if is_offer and math.abs(tonumber(fields[i + 1])) + forgotten_ms < expires then
      redis.call('HDEL', binding, fields[i])
    end
  end
end

for i = 1, refusals do
  local binding, position, offer = KEYS[k + 1], ARGV[a + 1], ARGV[a + 2]
  local expires, is_told, data = ARGV[a + 3], ARGV[a + 4] == '1', ARGV[a + 5]
  k, a = k + 1, a + 5
  if redis.call('XDEL', slot, position) == 1 and redis.call('HGET', binding, offer) == expires then
    if is_told then
      redis.call('HSET', binding, offer, '-' .. expires)
      prune(binding, tonumber(expires))
      tell(binding, data)
    else
      redis.call('HDEL', binding, offer)
    end
  end
end

for i = 1, replies do
  send(ARGV[a + 1], ARGV[a + 2])
  a = a + 2
end
for _, gateway in ipairs(gateways) do
  redis.call('PUBLISH', gateway_prefix .. gateway, table.concat(mail[gateway], '\n'))
end

for i = 1, forwards do
  -- Without a bound: these are under way already, and must not be lost.
  local stream, position, data = KEYS[k + 1], ARGV[a + 1], ARGV[a + 2]
  k, a = k + 1, a + 2
  if position == '' or redis.call('XDEL', slot, position) == 1 then
    redis.call('XADD', stream, '*', 'm', data)
  end
end
return refused
