-- Store new jobs: enqueue stamps, limits, ready lists and lanes.
-- WITH  bells, counters, upload_lanes, scheduled

-- Return the next enqueue stamp: µs by Redis' clock, strictly increasing, so that stamps are both time and order.
local stamp
local function next_stamp()
  stamp = stamp and stamp + 1 or math.max(clock[1] * 1000000 + clock[2], tonumber(redis.call('GET', K.stamp) or '0') + 1)
  return whole(stamp)
end

-- Write the newest stamp and the counters at the end of the script.
local function flush_new()
  if stamp then redis.call('SET', K.stamp, whole(stamp)) end
  flush()
end

-- Return the error if the limits allow no more jobs or contents; nil if there is room.
local function limit_error(jobs, limit, bytes, content_limit)
  local backlog = 0
  for _, number in ipairs(redis.call('HMGET', K.counts, 'queued', 'waiting', 'parked')) do
    backlog = backlog + tonumber(number or 0)
  end
  if jobs > 0 and backlog + jobs > tonumber(limit) then return 'BACKLOGFULL ' .. whole(backlog) .. ' jobs are waiting' end
  local stored = bytes > 0 and tonumber(redis.call('GET', K.content_bytes) or '0')
  if stored and stored + bytes > tonumber(content_limit) then
    return 'CONTENTFULL files take ' .. whole(stored) .. ' bytes already'
  end
end

-- Add an id to those of its source. Each source has its own list of ready jobs, and sources take turns: a bulk load of one
-- source does not delay the others. write_ready() writes the ids at the end of the script.
local ready = {}
local function add_ready(id, urgent, source)
  local list = (urgent and F.urgent or F.ready) .. source
  if not ready[list] then
    ready[list] = {list = list, turns = urgent and K.urgent_turns or K.turns, source = source}
    ready[#ready + 1] = ready[list]
  end
  table.insert(ready[list], id)
end

-- Write the ready ids. Return lower bounds of the numbers of ready jobs: those that are not urgent, urgent ones.
local function write_ready()
  local most, urgent = 0, 0
  for _, ids in ipairs(ready) do
    local length
    for i = 1, #ids, 1000 do
      local last = math.min(i + 999, #ids)
      length = redis.call('RPUSH', ids.list, unpack(ids, i, last))
      if length == last - i + 1 then redis.call('RPUSH', ids.turns, ids.source) end -- the list was empty
    end
    if ids.turns == K.turns then most = math.max(most, length) else urgent = math.max(urgent, length) end
  end
  return most, urgent
end

-- Put a new job behind the others of its lane, or into its ready list. Return its state.
local function place_new(id, at, lane, urgent, source, first)
  if not lane then
    add_ready(id, urgent, source or '')
    return 'queued'
  end
  if string.sub(lane, 1, 5) == 'files' then
    redis.call('ZADD', K.files .. lane_suffix(lane), lane_score({at = at, first = first}), id)
  else
    redis.call('ZADD', F.lane .. lane, at, id)
    if redis.call('ZCARD', F.lane .. lane) == 1 then return place_new(id, at, nil, urgent, source) end
  end
  redis.call('ZADD', K.waiting, at, id)
  return 'waiting'
end

-- Return how many ms remain until a job is due; 0 for a job without deliver_at.
local function ms_until(due) return due and math.max(0, tonumber(due) - now) or 0 end

-- Park a new job until it is due. Return its state. It joins its case lane now, so that later changes of the case wait for it.
-- The hash gets what lib/release.lua needs.
local function schedule_new(id, at, has)
  redis.call('ZADD', K.scheduled, has.due, scheduled_member(at, id))
  redis.call('HSET', F.job .. id, 'reason', 'scheduled', 'until', has.due)
  if has.source then redis.call('HSET', F.job .. id, 'source', has.source) end
  if has.lane and not is_file(has) then redis.call('ZADD', F.lane .. has.lane, at, id) end
  count('parked:scheduled', 1)
  return 'parked'
end

-- Park a new job under the hold of its batch. Return its state. A job of a lane is not parked here but when it is claimed, so
-- that it never leaves before the earlier jobs of its lane.
local function hold_new(id, at, scope)
  redis.call('ZADD', F.held .. scope, at, id)
  redis.call('HSET', F.job .. id, 'reason', 'canary', 'scope', scope)
  count('parked:canary', 1)
  return 'parked'
end

-- Store a content. `contents` has the time since when each is no longer needed (+inf: still needed), `content_bytes` the size
-- of all contents.
local function store_content(id, content)
  redis.call('SET', F.content .. id, content)
  redis.call('ZADD', K.contents, '+inf', id)
  redis.call('INCRBY', K.content_bytes, whole(#content))
end
