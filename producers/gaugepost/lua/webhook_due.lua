-- List the endpoints for which a worker may send an event now. Delete events that were given up long ago.
-- KEYS  prefix
-- ARGV  how long an event that was given up is kept, ms
-- RETURN ids

local AT_ONCE = 100
allow_oom()
local out, long_ago = {}, whole(now - ARGV[1])
for _, id in ipairs(redis.call('HKEYS', K.webhooks)) do
  for _, event in ipairs(redis.call('ZRANGEBYSCORE', F.given_up .. id, '-inf', long_ago, 'LIMIT', 0, AT_ONCE)) do
    redis.call('ZREM', F.given_up .. id, event)
    redis.call('HDEL', F.events .. id, event)
  end
  local next_try = tonumber(redis.call('HGET', F.webhook .. id, 'next') or '0')
  if next_try <= now and #redis.call('ZRANGEBYSCORE', F.outbox .. id, '-inf', whole(now), 'LIMIT', 0, 1) > 0 then
    out[#out + 1] = id
  end
end
return out
