-- Events for webhooks. A script writes an event with the change that it tells of, and only for the endpoints that want it.
-- `webhooks` has the endpoints: id -> JSON with url, events (missing: all), source, limit, disabled (why and when) …
-- `outbox:<endpoint>` is a sorted set of event ids by when a worker may send them next, ms.
-- `events:<endpoint>` is a hash of the same events and of those that were given up: id -> JSON with type, at (ms), data; and,
--   once it failed, tries, first and last (ms), error (webhook_settle.lua).
-- `webhook:<endpoint>` is a hash of numbers: number (of its newest event), dropped (because its outbox was full) …
-- Events name jobs and have no data of them: the worker that sends an event reads the rest.

local MOST_EVENTS = 100000

-- Return the endpoints of this region that are not disabled. A damaged one must not stop the script.
local endpoints
local function active_endpoints()
  if endpoints then return endpoints end
  endpoints = {}
  local rows = redis.call('HGETALL', K.webhooks)
  for i = 1, #rows, 2 do
    local is_json, one = pcall(cjson.decode, rows[i + 1])
    if is_json and type(one) == 'table' and not one.disabled then
      one.id = rows[i]
      endpoints[#endpoints + 1] = one
    end
  end
  return endpoints
end

-- Return whether an endpoint wants an event. `source`: of its job; '' if it has none, nil if it is not known here: then the
-- worker that sends the event looks again.
local function wants(one, sort, source)
  if one.source and source and one.source ~= source then return false end
  if type(one.events) ~= 'table' then return true end
  for _, event in ipairs(one.events) do
    if event == sort then return true end
  end
  return false
end

-- Return whether any endpoint wants an event. `source`: as for wants().
local function is_wanted(sort, source)
  for _, one in ipairs(active_endpoints()) do
    if wants(one, sort, source) then return true end
  end
  return false
end

-- Write an event for one endpoint. Return its id, which is the `webhook-id` of each request; nil if the outbox is full.
local function put_event(one, sort, data)
  local id = one.id
  if redis.call('HLEN', F.events .. id) >= (tonumber(one.limit) or MOST_EVENTS) then
    redis.call('HINCRBY', F.webhook .. id, 'dropped', 1)
    return nil
  end
  local number = redis.call('HINCRBY', F.webhook .. id, 'number', 1)
  local region = string.match(PREFIX, '{(%a+)}')
  local event = 'evt_' .. string.match(id, '[^-]*$') .. '_' .. region .. '_' .. whole(now) .. '_' .. whole(number)
  redis.call('HSET', F.events .. id, event, cjson.encode({type = sort, at = now, data = data}))
  redis.call('ZADD', F.outbox .. id, whole(now), event)
  return event
end

-- Write an event for each endpoint that wants it.
local function emit(sort, source, data)
  for _, one in ipairs(active_endpoints()) do
    if wants(one, sort, source) then put_event(one, sort, data) end
  end
end
