-- Lease events of one endpoint that are due, so that one worker at a time sends each. The end of the lease is the event's next
-- due time: if the worker dies, another one sends the event again, under the same id. While an endpoint fails, workers send
-- it one event at a time, and wait in between (webhook_settle.lua). Tests are sent alone, before all others and without a wait.
-- KEYS  prefix
-- ARGV  id of the endpoint, how many events at most, lease in ms
-- RETURN the end of the lease; then for each event its id and JSON. Nothing for an endpoint that is disabled or deleted

allow_oom()
local id, ends = ARGV[1], whole(now + ARGV[3])
local outbox, untried, events, own = F.outbox .. id, F.untried .. id, F.events .. id, F.webhook .. id
local text = redis.call('HGET', K.webhooks, id)
if not text or cjson.decode(text).disabled then return {} end
local out = {ends}

local function lease(event, json)
  redis.call('ZADD', outbox, ends, event)
  out[#out + 1] = event
  out[#out + 1] = json
end

-- Lease events of the outbox that are due between two times.
local function lease_due(from, to, most)
  if most < 1 then return end
  for _, event in ipairs(redis.call('ZRANGEBYSCORE', outbox, from, to, 'LIMIT', 0, most)) do
    local json = redis.call('HGET', events, event)
    if json then lease(event, json) else redis.call('ZREM', outbox, event) end
  end
end

-- Lease events that no worker has taken yet. Each gets its id: the n-th event of an endpoint has the same one after a restore.
local function lease_untried(most)
  local region, short = string.match(PREFIX, '{(%a+)}'), string.match(id, '[^-]*$')
  for _, json in ipairs(most > 0 and redis.call('LPOP', untried, most) or {}) do
    local number = whole(redis.call('HINCRBY', own, 'number', 1))
    local event = 'evt_' .. short .. '_' .. region .. '_' .. whole(cjson.decode(json).at) .. '_' .. number
    redis.call('HSET', events, event, json)
    lease(event, json)
  end
end

local most, next_try = tonumber(ARGV[2]), tonumber(redis.call('HGET', own, 'next') or '0')
lease_due(0, 0, most)
if #out > 1 then return out end
if next_try > now then return {} end
if next_try > 0 then most = 1 end
-- Events that failed take at most half of the places, so that neither sort waits for the other.
local waiting = redis.call('LLEN', untried)
lease_due('(0', whole(now), math.max(most - waiting, math.floor(most / 2)))
lease_untried(most - (#out - 1) / 2)
if next_try > 0 and #out > 1 then redis.call('HSET', own, 'next', ends) end
return out
