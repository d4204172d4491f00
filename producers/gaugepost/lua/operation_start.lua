-- Store a new operation. Workers carry it out at their ticks. It gets a start time later than that of each other operation, so
-- that the times order them.
-- KEYS  prefix
-- ARGV  id, how many operations may be open, then fields of its row: name, value, …
-- RETURN 1. A repeated call changes nothing. The error BACKLOGFULL: too many operations are open

allow_oom()
local key = F.operation .. ARGV[1]
if redis.call('EXISTS', key) == 1 then return 1 end
if redis.call('ZCARD', K.open_operations) >= tonumber(ARGV[2]) then
  return redis.error_reply('BACKLOGFULL ' .. ARGV[2] .. ' operations have not ended')
end
local newest = redis.call('ZRANGE', K.operations, -1, -1, 'WITHSCORES')[2] or '0'
local started = whole(math.max(now, tonumber(newest) + 1))
redis.call('HSET', key, 'state', 'running', 'phase', 'collecting', 'started', started, unpack(ARGV, 3))
redis.call('ZADD', K.operations, started, ARGV[1])
redis.call('ZADD', K.open_operations, started, ARGV[1])
return 1
