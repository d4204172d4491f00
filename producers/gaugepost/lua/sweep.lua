-- Delete ended jobs and contents whose retention is over, a bounded number in each call. The idempotency key of a deleted job
-- stays, with the job's last state, so that a second enqueue sends nothing twice.
-- WITH  counters, contents, concurrency_limit, index, erasure, batch_members
-- KEYS  prefix
-- ARGV  how many of each state at most, retention of contents in ms; then pairs: state, its retention in ms
-- RETURN how many jobs were deleted

local deleted = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', K.contents, '-inf', whole(now - ARGV[2]), 'LIMIT', 0, ARGV[1])) do
  forget_content(id)
end
live_workers()
finish_erasures(ARGV[1])
local long_ago = whole(now - 100 * 86400000)
redis.call('ZREMRANGEBYSCORE', K.sets, '-inf', long_ago)
for _, id in ipairs(redis.call('ZRANGEBYSCORE', K.operations, '-inf', long_ago, 'LIMIT', 0, ARGV[1])) do
  redis.call('UNLINK', F.operation .. id, F.todo .. id)
  redis.call('ZREM', K.operations, id)
  redis.call('ZREM', K.open_operations, id)
end
for _, batch in ipairs(redis.call('ZRANGEBYSCORE', K.batches, '-inf', long_ago, 'LIMIT', 0, ARGV[1])) do
  forget_stale(batch)
end
for i = 3, #ARGV, 2 do
  local state, before = ARGV[i], whole(now - tonumber(ARGV[i + 1]))
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', K[state], '-inf', before, 'LIMIT', 0, ARGV[1])) do
    local found = redis.call('HMGET', F.job .. id, 'verdict', 'idem', 'batch', 'tallied')
    local verdict, idem = found[1], found[2] and F.idem .. found[2]
    redis.call('ZREM', K[state], id)
    redis.call('UNLINK', F.job .. id)
    forget_content(id)
    forget_references(id)
    if idem and redis.call('GET', idem) == id then redis.call('SET', idem, id .. ':' .. state, 'KEEPTTL') end
    count(state, -1)
    if found[3] then tally_deleted(found[3], found[4], state) end
    if state == 'dead' and verdict then count('dead:' .. verdict, -1) end
    deleted = deleted + 1
  end
end
flush_index()
flush()
return deleted
