-- List the endpoints for which a worker may send an event now. Delete events that were given up long ago.
-- KEYS  prefix
-- ARGV  how long an event that was given up is kept, ms
-- RETURN ids

local SOME = 100
allow_oom()
local out, long_ago = {}, whole(now - ARGV[1])

-- Return whether a worker may send an event of an endpoint. Tests (0) do not wait for the pause of a failing endpoint.
local function is_due(id)
  local first = redis.call('ZRANGE', F.outbox .. id, 0, 0, 'WITHSCORES')[2]
  first = first and tonumber(first)
  if first == 0 then return true end
  if tonumber(redis.call('HGET', F.webhook .. id, 'next') or '0') > now then return false end
  return first and first <= now or redis.call('LLEN', F.untried .. id) > 0
end

for _, id in ipairs(redis.call('HKEYS', K.webhooks)) do
  for _, event in ipairs(redis.call('ZRANGEBYSCORE', F.given_up .. id, '-inf', long_ago, 'LIMIT', 0, SOME)) do
    redis.call('ZREM', F.given_up .. id, event)
    redis.call('HDEL', F.events .. id, event)
  end
  if is_due(id) then out[#out + 1] = id end
end
return out
