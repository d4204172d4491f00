-- Delete staged contents whose set was refused, or whose answer was lost. Contents of an enqueued set stay.
-- KEYS  prefix
-- ARGV  job ids
-- RETURN how many contents were deleted

local deleted = 0
for _, id in ipairs(ARGV) do
  if redis.call('PTTL', F.content .. id) > 0 then deleted = deleted + redis.call('UNLINK', F.content .. id) end
end
return deleted
