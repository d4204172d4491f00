-- Add the jobs of one page to those that an operation will change, and write where the next page begins. The last page ends
-- the phase `collecting`: only then does the operation change jobs. A job that an earlier operation will change is marked with
-- the id of that operation, and will be skipped.
-- WITH  operations
-- KEYS  prefix
-- ARGV  id, cursor of this page, cursor of the next page ('' = this is the last one), then enqueue stamp and id of each job
-- RETURN 1; 0 if the operation is not at this cursor: a repeated call, or another worker was faster

allow_oom()
local id, key, todo = ARGV[1], F.operation .. ARGV[1], F.todo .. ARGV[1]
local row = redis.call('HMGET', key, 'state', 'phase', 'cursor', 'limit')
if row[1] ~= 'running' or row[2] ~= 'collecting' or (row[3] or '') ~= ARGV[2] then return 0 end
local earlier, added = operations_before(id), 0
for i = 4, #ARGV, 2 do
  local other = operation_with(ARGV[i + 1], earlier)
  added = added + redis.call('ZADD', todo, 'NX', ARGV[i], ARGV[i + 1] .. (other and ' ' .. other or ''))
end
redis.call('HINCRBY', key, 'matched', added)
if ARGV[3] ~= '' then
  redis.call('HSET', key, 'cursor', ARGV[3])
  return 1
end
if row[4] then redis.call('ZREMRANGEBYRANK', todo, row[4], -1) end
redis.call('HSET', key, 'phase', 'applying', 'matched', redis.call('ZCARD', todo))
redis.call('HDEL', key, 'cursor')
return 1
