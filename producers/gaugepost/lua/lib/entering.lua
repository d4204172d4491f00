-- WITH entering: accept new jobs.

-- Why no more jobs, or no more contents, may be stored; nil while they may.
local function no_room(jobs, limit, bytes, content_limit)
  local backlog = 0
  for _, number in ipairs(redis.call('HMGET', K.counts, 'queued', 'waiting', 'parked')) do
    backlog = backlog + (tonumber(number or 0))
  end
  if jobs > 0 and backlog + jobs > tonumber(limit) then return 'BACKLOGFULL ' .. whole(backlog) .. ' jobs are waiting' end
  local stored = bytes > 0 and tonumber(redis.call('GET', K.content_bytes) or '0')
  if stored and stored + bytes > tonumber(content_limit) then
    return 'CONTENTFULL files take ' .. whole(stored) .. ' bytes already'
  end
end

-- Ready jobs lie in a list for each source, and sources take turns: nobody's bulk load stands before the jobs of others.
-- Pushed all together by line_up(), at the end of the script, sources in the order in which their first jobs came.
local lines = {}
local function ready(id, urgent, source)
  local line = (urgent and F.urgent or F.ready) .. source
  if not lines[line] then
    lines[line] = {line = line, turns = urgent and K.urgent_turns or K.turns, source = source}
    lines[#lines + 1] = lines[line]
  end
  table.insert(lines[line], id)
end

-- Gives how many are ready now, at least: not urgent ones, and urgent ones.
local function line_up()
  local most, urgent = 0, 0
  for _, ids in ipairs(lines) do
    local length
    for i = 1, #ids, 1000 do
      local last = math.min(i + 999, #ids)
      length = redis.call('RPUSH', ids.line, unpack(ids, i, last))
      if length == last - i + 1 then redis.call('RPUSH', ids.turns, ids.source) end -- it was empty
    end
    if ids.turns == K.turns then most = math.max(most, length) else urgent = math.max(urgent, length) end
  end
  lines = {}
  return most, urgent
end

-- Where a job starts: behind the others of its lane, or ready.
local function place(id, at, lane, urgent, source, first)
  if not lane then
    ready(id, urgent, source or '')
    return 'queued'
  end
  if string.sub(lane, 1, 5) == 'files' then
    redis.call('ZADD', K.files .. ending(lane), turn({at = at, first = first}), id)
  else
    redis.call('ZADD', F.lane .. lane, at, id)
    if redis.call('ZCARD', F.lane .. lane) == 1 then return place(id, at, nil, urgent, source) end
  end
  redis.call('ZADD', K.waiting, at, id)
  return 'waiting'
end

-- Contents: `contents` says since when each is needed no more (+inf: it still is), `content_bytes` how much all take.
local function store_content(id, content)
  redis.call('SET', F.content .. id, content)
  redis.call('ZADD', K.contents, '+inf', id)
  redis.call('INCRBY', K.content_bytes, whole(#content))
end
