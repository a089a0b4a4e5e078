-- Claim the creation of chunks, all or none.
-- KEYS: the creation of each.
-- ARGV: holder, ms that a claim lasts.
-- Reply: 1 when all are the holder's, 0 when another has claimed one of them.

for _, creation in ipairs(KEYS) do
  local claimant = redis.call('GET', creation)
  if claimant and claimant ~= ARGV[1] then
    return 0
  end
end
for _, creation in ipairs(KEYS) do
  redis.call('SET', creation, ARGV[1], 'PX', ARGV[2])
end
return 1
