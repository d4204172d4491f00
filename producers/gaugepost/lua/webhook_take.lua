-- Lease events of one endpoint that are due, so that one worker at a time sends each. The end of the lease is the event's next
-- due time: if the worker dies, another one sends the event again, under the same id. While an endpoint fails, workers send
-- it one event at a time, and wait in between (webhook_settle.lua).
-- KEYS  prefix
-- ARGV  id of the endpoint, how many events at most, lease in ms
-- RETURN the end of the lease; then for each event its id and JSON. Nothing for an endpoint that is disabled or deleted

allow_oom()
local id, ends = ARGV[1], whole(now + ARGV[3])
local text = redis.call('HGET', K.webhooks, id)
if not text or cjson.decode(text).disabled then return {} end
local most, next_try = ARGV[2], tonumber(redis.call('HGET', F.webhook .. id, 'next') or '0')
if next_try > now then return {} end
if next_try > 0 then most = 1 end
local out = {ends}
for _, event in ipairs(redis.call('ZRANGEBYSCORE', F.outbox .. id, '-inf', whole(now), 'LIMIT', 0, most)) do
  local json = redis.call('HGET', F.events .. id, event)
  if json then
    redis.call('ZADD', F.outbox .. id, ends, event)
    out[#out + 1] = event
    out[#out + 1] = json
  else
    redis.call('ZREM', F.outbox .. id, event)
  end
end
if next_try > 0 and #out > 1 then redis.call('HSET', F.webhook .. id, 'next', ends) end
return out
