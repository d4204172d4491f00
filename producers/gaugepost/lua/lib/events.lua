-- Events for webhooks. A script writes an event with the change that it tells of, and only for the endpoints that want it.
-- `webhooks` has the endpoints: id -> JSON with url, events (missing: all), source, limit, disabled (why and when) …
-- `untried:<endpoint>` is a list of JSON with type, at (ms), data: events that no worker has taken, the oldest first.
-- `events:<endpoint>` is a hash of the events that a worker has taken, and of those that were given up: id -> the same JSON with,
--   once it failed, tries, first and last (ms), error (webhook_settle.lua).
-- `outbox:<endpoint>` is a sorted set of their ids by when a worker may send them next, ms; 0: a test, at once.
-- `webhook:<endpoint>` is a hash of numbers: number (of its newest event), dropped (because it had too many) …
-- Events name jobs and have no data of them: the worker that sends an event reads the rest.
-- The blocks keep helpers out of the scripts: Lua allows a script 200 local names.

local active_endpoints, is_wanted, write_events, write_no_events
do
  local MOST_EVENTS, MOST_OF_REGION, AT_ONCE = 100000, 400000, 1000
  local endpoints, most_of_each

  -- Return the endpoints of this region that are not disabled. A damaged one must not stop the script.
  function active_endpoints()
    if endpoints then return endpoints end
    endpoints = {}
    local rows = redis.call('HGETALL', K.webhooks)
    most_of_each = math.floor(MOST_OF_REGION / math.max(1, #rows / 2))
    for i = 1, #rows, 2 do
      local is_json, one = pcall(cjson.decode, rows[i + 1])
      if is_json and type(one) == 'table' and not one.disabled then
        one.id = rows[i]
        if type(one.events) == 'table' then
          one.wanted = {}
          for _, event in ipairs(one.events) do one.wanted[event] = true end
        end
        endpoints[#endpoints + 1] = one
      end
    end
    return endpoints
  end

  -- Write no events for webhooks in this call.
  function write_no_events() endpoints = {} end

  -- Return whether an endpoint wants an event. `source`: of its job; '' if it has none, nil if it is not known here: then the
  -- worker that sends the event looks again.
  local function wants(one, sort, source)
    if one.source and source and one.source ~= source then return false end
    return not one.wanted or one.wanted[sort]
  end

  -- Return whether any endpoint wants an event. `source`: as for wants().
  function is_wanted(sort, source)
    for _, one in ipairs(active_endpoints()) do
      if wants(one, sort, source) then return true end
    end
    return false
  end

  -- Append events to those of an endpoint. Count those for which it has no room.
  local function append(one, texts)
    local key = F.untried .. one.id
    local held = redis.call('LLEN', key) + redis.call('HLEN', F.events .. one.id)
    local room = math.min(tonumber(one.limit) or MOST_EVENTS, most_of_each) - held
    local last = math.max(0, math.min(#texts, room))
    for first = 1, last, AT_ONCE do
      redis.call('RPUSH', key, unpack(texts, first, math.min(first + AT_ONCE - 1, last)))
    end
    if last < #texts then redis.call('HINCRBY', F.webhook .. one.id, 'dropped', #texts - last) end
  end

  -- Return the JSON of those events that an endpoint wants; of all, if `one` is nil.
  local function texts_for(one, events)
    local texts = {}
    for _, event in ipairs(events) do
      if not one or wants(one, event.sort, event.source) then texts[#texts + 1] = event.text end
    end
    return texts
  end

  -- Write events, each for the endpoints that want it: one append for each endpoint, because 20 of them may want all.
  function write_events(events)
    local all
    for _, one in ipairs(active_endpoints()) do
      local wants_all = not one.wanted and not one.source
      if wants_all then all = all or texts_for(nil, events) end
      local texts = wants_all and all or texts_for(one, events)
      if #texts > 0 then append(one, texts) end
    end
  end
end

-- Write an event for each endpoint that wants it. While flush() runs, job_events.lua collects events and writes them together.
local collected
local function emit(sort, source, data)
  if not is_wanted(sort, source) then return end
  local event = {sort = sort, source = source, text = cjson.encode({type = sort, at = now, data = data})}
  if collected then collected[#collected + 1] = event else write_events({event}) end
end
