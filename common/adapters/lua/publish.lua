-- What one shard has to say: deltas, then lines, then replies, then forwards. What it refuses goes
-- from its stream in the same step.
-- KEYS: for each delta its stream (also its channel) and its fence; for each line its stream and
--   the binding of its session; for each forward the slot's stream; for each refused message too.
-- ARGV: how many deltas, lines, replies, forwards, refused messages; ms a stream of deltas lives after the last one;
--   ticks of deltas kept; lines kept; ms that fences and lines live; the prefix of gateways'
--   channels. Then for each delta: epoch, tick, prev_tick, data; line: seq or '', data; reply:
--   gateway, data; forward: data; refused: its id.
-- Reply: the positions of the deltas that a newer epoch shut out; nothing of those was done.
-- Repeated: a tick or seq that is not later than the last one is passed over, unpublished.

local deltas, lines = tonumber(ARGV[1]), tonumber(ARGV[2])
local replies, forwards = tonumber(ARGV[3]), tonumber(ARGV[4])
local settled = tonumber(ARGV[5])
local deltas_ms, ticks_kept, lines_kept = ARGV[6], tonumber(ARGV[7]), ARGV[8]
local remembered_ms, gateway_prefix = ARGV[9], ARGV[10]
local k, a = 0, 10

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
for i = 1, lines do
  local stream, binding = KEYS[k + 1], KEYS[k + 2]
  local seq, data = ARGV[a + 1], ARGV[a + 2]
  k, a = k + 2, a + 2
  local is_new = true
  if seq ~= '' then
    is_new = tonumber(seq) > last_id(stream)
    if is_new then
      redis.call('XADD', stream, 'MAXLEN', '~', lines_kept, seq .. '-0', 'd', data)
      redis.call('PEXPIRE', stream, remembered_ms)
    end
  end
  if is_new then
    if bound[binding] == nil then
      bound[binding] = redis.call('HGET', binding, 'gateway')
    end
    if bound[binding] then
      send(bound[binding], data)
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
  redis.call('XADD', KEYS[k + 1], '*', 'm', ARGV[a + 1])
  k, a = k + 1, a + 1
end

for i = 1, settled do
  redis.call('XDEL', KEYS[k + 1], ARGV[a + 1])
  k, a = k + 1, a + 1
end
return refused
