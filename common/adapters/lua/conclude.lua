-- Generations of chunks ended at these ticks: no stream goes on from before them to after them.
-- KEYS: the fences.
-- ARGV: ms that a fence lives; then for each its tick.
-- Reply: nothing.

for i, fence in ipairs(KEYS) do
  local epoch, last = string.match(redis.call('GET', fence) or '0 0', '^(%d+) (%d+)$')
  if tonumber(ARGV[i + 1]) > tonumber(last) then
    last = ARGV[i + 1]
  end
  redis.call('SET', fence, epoch .. ' ' .. last, 'PX', ARGV[1])
end
