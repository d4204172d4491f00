-- Record what became of events that a worker took. A success ends an event, also if another worker has leased it since. After
-- a failure it is due later, until it is given up. An endpoint that only fails for long, or that answered 410, is disabled; it
-- keeps its events. After a day without a try its failures count anew: they say nothing about the day. Tests count for nothing.
-- KEYS  prefix
-- ARGV  id of the endpoint, how long an event or an endpoint may fail in ms, waits before the next tries in ms separated by
--       blanks, end of the lease (webhook_take.lua); then for each event its id, what became of it, and the error: `sent`,
--       `unwanted`, `failed`, `gone` (410), `returned` unsent, `unreadable` (its job), `sealed` (the endpoint's secret; id '': no
--       event was taken)
-- RETURN why this call has disabled the endpoint; '' if it has not. A repeated call changes nothing more

allow_oom()
local id, longest = ARGV[1], tonumber(ARGV[2])
local own, outbox, events = F.webhook .. id, F.outbox .. id, F.events .. id
local text = redis.call('HGET', K.webhooks, id)
if not text then return '' end
local endpoint, FEW, PAUSE_MS, LONGEST_PAUSE_MS, SILENCE_MS, ABLE_MS = cjson.decode(text), 3, 5000, 60000, 86400000, 900000

local waits = {}
for wait in string.gmatch(ARGV[3], '%d+') do waits[#waits + 1] = tonumber(wait) end

local function forget(event)
  redis.call('ZREM', outbox, event)
  redis.call('ZREM', F.given_up .. id, event)
  return redis.call('HDEL', events, event)
end

local function succeed(event)
  if forget(event) == 0 then return end
  redis.call('HINCRBY', own, 'sent', 1)
  redis.call('HSET', own, 'last_sent', whole(now))
  redis.call('HDEL', own, 'failing', 'failed', 'errors', 'next', 'error', 'sealed')
end

local function disable(why)
  if endpoint.disabled then return end
  endpoint.disabled = {at = now, why = why}
  redis.call('HSET', K.webhooks, id, cjson.encode(endpoint))
end

-- Count a failure in a row of the endpoint. After a few of them it is tried by one event at a time.
local function count_failure(error)
  local last = tonumber(redis.call('HGET', own, 'failed') or '0')
  if now - last > SILENCE_MS then redis.call('HDEL', own, 'failing', 'errors') end
  local errors = redis.call('HINCRBY', own, 'errors', 1)
  redis.call('HSETNX', own, 'failing', whole(now))
  redis.call('HSET', own, 'failed', whole(now), 'error', error)
  redis.call('HDEL', own, 'sealed')
  if errors >= FEW then
    local pause = math.min(PAUSE_MS * 2 ^ math.min(errors - FEW, 10), LONGEST_PAUSE_MS)
    redis.call('HSET', own, 'next', whole(now + pause))
  end
  if now - tonumber(redis.call('HGET', own, 'failing')) >= longest then disable('it failed for too long: ' .. error) end
end

-- Return whether the caller still has the lease: no other call has taken, settled or deleted the event since.
local function is_leased(event) return tonumber(redis.call('ZSCORE', outbox, event) or '') == tonumber(ARGV[4]) end

-- Let another event be tried, if this one was the only one that a failing endpoint may get.
local function free_next()
  if redis.call('HGET', own, 'next') == ARGV[4] then redis.call('HSET', own, 'next', whole(now)) end
end

-- Record a failure. Return whether it counts for the endpoint.
local function fail(event, error)
  if not is_leased(event) then return false end
  local row = cjson.decode(redis.call('HGET', events, event))
  local is_test = row.type == 'webhook.test'
  row.tries, row.first, row.last, row.error = (row.tries or 0) + 1, row.first or now, now, error
  redis.call('HSET', events, event, cjson.encode(row))
  local wait = waits[math.min(row.tries, #waits)]
  if is_test or now + wait - row.first > longest then
    redis.call('ZREM', outbox, event)
    redis.call('ZADD', F.given_up .. id, whole(now), event)
  else
    redis.call('ZADD', outbox, whole(now + wait), event)
  end
  return not is_test
end

local function put_back(event)
  if not is_leased(event) then return end
  local is_test = cjson.decode(redis.call('HGET', events, event)).type == 'webhook.test'
  redis.call('ZADD', outbox, is_test and 0 or whole(now), event)
  free_next()
end

local became = {
  sent = succeed,
  unwanted = function(event) forget(event); free_next() end,
  returned = put_back,
  failed = function(event, error) if fail(event, error) then count_failure(error) end end,
  unreadable = function(event, error) fail(event, error); free_next() end,
}
function became.gone(event, error)
  if not fail(event, error) then return end
  count_failure(error)
  disable('it answered 410 Gone')
end
-- A fleet may have workers with the key and workers without it. The endpoint fails only if no worker could sign lately.
function became.sealed(event, error)
  put_back(event)
  local able = redis.call('HMGET', own, 'opened', 'last_sent')
  if now - math.max(tonumber(able[1] or '0'), tonumber(able[2] or '0')) < ABLE_MS then return end
  redis.call('HSETNX', own, 'sealed', whole(now))
  redis.call('HSET', own, 'error', error)
end

local was_active = not endpoint.disabled
for i = 5, #ARGV, 3 do became[ARGV[i + 1]](ARGV[i], ARGV[i + 2]) end
return was_active and endpoint.disabled and endpoint.disabled.why or ''
