-- Lease the operations that a worker may carry out now, so that one worker at a time works on each. While an operation
-- collects its jobs, later ones wait: a job belongs to the earliest operation that matches it. The lease only saves work: the
-- steps themselves do nothing twice.
-- KEYS  prefix
-- ARGV  worker, lease in ms (0: release what this worker has leased)
-- RETURN for each leased operation its id and its row (fields and values)

allow_oom()
local lease, out = tonumber(ARGV[2]), {}
for _, id in ipairs(redis.call('ZRANGE', K.open_operations, 0, -1)) do
  local key = F.operation .. id
  local row = redis.call('HMGET', key, 'state', 'phase', 'holder', 'lease_ends')
  local ends = tonumber(row[4] or '') or 0
  local is_free = not row[3] or row[3] == ARGV[1] or ends <= now or ends > now + lease -- the clock stepped back
  if not row[1] then
    redis.call('ZREM', K.open_operations, id)
  elseif lease == 0 then
    if row[3] == ARGV[1] then redis.call('HDEL', key, 'holder', 'lease_ends') end
  elseif row[1] == 'running' then
    if is_free then
      redis.call('HSET', key, 'holder', ARGV[1], 'lease_ends', whole(now + lease))
      out[#out + 1] = {id, redis.call('HGETALL', key)}
    end
    if row[2] == 'collecting' then break end
  end
end
return out
