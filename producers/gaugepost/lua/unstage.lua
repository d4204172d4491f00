-- Take away contents that lie staged: their set was refused, or nobody knows. What a set has accepted stays.
-- KEYS  prefix
-- ARGV  job ids
-- RETURN how many were taken away

local gone = 0
for _, id in ipairs(ARGV) do
  if redis.call('PTTL', F.content .. id) > 0 then gone = gone + redis.call('UNLINK', F.content .. id) end
end
return gone
