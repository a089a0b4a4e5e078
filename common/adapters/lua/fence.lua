-- Shut out epochs older than the given ones.
-- KEYS: for each chunk its fence and its stream of deltas.
-- ARGV: ms that a fence lives; then for each chunk its epoch.
-- Reply: for each chunk the last tick published, as text, '0' when Redis knows of none.

local ticks = {}
for i = 1, #ARGV - 1 do
  local fence, stream = KEYS[2 * i - 1], KEYS[2 * i]
  local known = redis.call('GET', fence)
  local fenced, last
  if known then
    fenced, last = string.match(known, '^(%d+) (%d+)$')
  else
    local top = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)
    fenced, last = '0', top[1] and string.match(top[1][1], '^%d+') or '0'
  end
  if tonumber(ARGV[i + 1]) > tonumber(fenced) then
    fenced = ARGV[i + 1]
  end
  redis.call('SET', fence, fenced .. ' ' .. last, 'PX', ARGV[1])
  ticks[i] = last
end
return ticks
