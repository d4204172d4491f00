-- Write an event `webhook.test` for one endpoint, whatever events it wants and however many wait. Workers send it before all
-- others, also while the endpoint fails (webhook_take.lua).
-- KEYS  prefix
-- ARGV  id of the endpoint
-- RETURN id of the event; '' if there is no such endpoint, or if it is disabled

allow_oom()
local id = ARGV[1]
local text = redis.call('HGET', K.webhooks, id)
if not text or cjson.decode(text).disabled then return '' end
local region, own = string.match(PREFIX, '{(%a+)}'), string.match(id, '[^-]*$')
local number = redis.call('HINCRBY', F.webhook .. id, 'tests', 1)
local event = 'evt_' .. own .. '_' .. region .. '_' .. whole(now) .. '_t' .. whole(number)
redis.call('HSET', F.events .. id, event, cjson.encode({type = 'webhook.test', at = now, data = {id = id}}))
redis.call('ZADD', F.outbox .. id, 0, event)
return event
