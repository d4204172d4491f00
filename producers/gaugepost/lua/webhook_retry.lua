-- Make events of an endpoint due now: those that failed and wait, and those that were given up. A disabled endpoint is enabled.
-- KEYS  prefix
-- ARGV  id of the endpoint, id of one event ('' = all), how many events at most
-- RETURN how many events of this call are due now; -1 if there is no such endpoint. Call it again while it is the most

allow_oom()
local id, most = ARGV[1], tonumber(ARGV[3])
local text = redis.call('HGET', K.webhooks, id)
if not text then return -1 end
local endpoint, outbox, given_up = cjson.decode(text), F.outbox .. id, F.given_up .. id
if endpoint.disabled then
  endpoint.disabled = nil
  redis.call('HSET', K.webhooks, id, cjson.encode(endpoint))
end
redis.call('HDEL', F.webhook .. id, 'failing', 'failed', 'errors', 'next', 'error', 'sealed')

-- Make an event due, and let it have all its tries again.
local function make_due(event)
  local json = redis.call('HGET', F.events .. id, event)
  local row = json and cjson.decode(json)
  if not row or not row.tries then return 0 end
  row.tries, row.first = nil, nil
  redis.call('HSET', F.events .. id, event, cjson.encode(row))
  redis.call('ZREM', given_up, event)
  redis.call('ZADD', outbox, whole(now), event)
  return 1
end

if ARGV[2] ~= '' then return make_due(ARGV[2]) end
local done = 0
for _, event in ipairs(redis.call('ZRANGEBYSCORE', given_up, '-inf', '+inf', 'LIMIT', 0, most)) do
  done = done + make_due(event)
end
local later = '(' .. whole(now)
for _, event in ipairs(redis.call('ZRANGEBYSCORE', outbox, later, '+inf', 'LIMIT', 0, most - done)) do
  done = done + make_due(event)
end
return done
