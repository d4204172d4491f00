-- Shared by all transitions; put in front of each script by `ledger/scripts.py`, which also writes
--   K, F   key names and those of families (keys.py), on the region's prefix KEYS[1]
--   KNOWS  the schema that this version knows (keys.py)
--   LEGAL  all 'from>to', between blanks (states.py)
--   NEEDS  kind -> credential it needs (jobs)
-- KEYS[2] is the queue of bells, KEYS[3] the queue of urgent bells.
-- The clock is Redis' own: no worker's clock decides anything.

-- A ledger that a newer version has changed past what this one knows is left alone; so is one that has moved (moving.py).
local schema = redis.call('GET', K.schema) or '0'
if not tonumber(schema) then
  return redis.error_reply('LEDGERCLOSED this region has moved: set GAUGEPOST_REDIS_URL to where it is now')
end
schema = tonumber(schema)
if schema > KNOWS.schema then
  return redis.error_reply('LEDGERCLOSED the ledger has schema ' .. schema .. ', this gaugepost knows ' .. KNOWS.schema
    .. ': upgrade it')
end

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function whole(number) return string.format('%.0f', number) end -- Lua would write 1.76e+12

-- Enqueue stamps: µs by Redis' clock, strictly rising, so they are both time and order.
local stamp
local function next_stamp()
  stamp = stamp and stamp + 1 or math.max(clock[1] * 1000000 + clock[2], tonumber(redis.call('GET', K.stamp) or '0') + 1)
  return whole(stamp)
end

-- Counters are summed up and written once, as the newest stamp is, by flush(), at the end of the script.
local deltas = {}
local function count(name, by) deltas[name] = (deltas[name] or 0) + by end
local function flush()
  if stamp then redis.call('SET', K.stamp, whole(stamp)) end
  for name, by in pairs(deltas) do
    if by ~= 0 and redis.call('HINCRBY', K.counts, name, whole(by)) == 0 then redis.call('HDEL', K.counts, name) end
  end
end

-- Redis short of memory refuses a script whose first write may take some. What works jobs off must go on just then, so
-- it begins with a write that takes none.
local function even_when_full() redis.call('ZREM', K.leases, '') end

local FIELDS = {
  'state', 'at', 'fence', 'lane', 'urgent', 'reason', 'scope', 'verdict', 'expires', 'give_up', 'marked', 'probe',
  'first', 'phase', 'history',
}
local function load(id)
  local found = redis.call('HMGET', F.job .. id, unpack(FIELDS))
  if not found[1] then return nil end
  local job = {id = id, key = F.job .. id}
  for i, name in ipairs(FIELDS) do job[name] = found[i] or nil end
  return job
end

local function set(job, ...) redis.call('HSET', job.key, ...) end

-- The older half of a long record without its looks at the statistics: a file that is followed for a day must not lose its
-- attempts to them.
local function without_checks(history)
  local older = string.gsub(string.sub(history, 1, -16385), '[^\n]*$', '')
  local kept = {}
  for line in string.gmatch(older, '[^\n]+') do
    if not string.find(line, '"event":"check"', 1, true) then kept[#kept + 1] = line .. '\n' end
  end
  return table.concat(kept) .. string.sub(history, #older + 1)
end

-- Append one line to the job's record; the oldest lines go when it gets long.
local function note(job, line)
  local history = (job.history or '') .. line .. '\n'
  if #history > 32768 then history = without_checks(history) end
  if #history > 32768 then history = string.gsub(string.sub(history, -16384), '^[^\n]*\n', '', 1) end
  job.history = history
  set(job, 'history', history)
end

-- Files: the lane of a region is 'files'; where each family has a slot of its own, 'files:<family>'. A lane's own keys
-- (files, slot, filing) end as its name does. A file with a phase was sent: it is looked up, which needs no slot.
local function is_file(job) return job.lane and string.sub(job.lane, 1, 5) == 'files' end
local function ending(lane) return string.sub(lane, 6) end
local function turn(job) return job.first and whole(job.at - 1e16) or job.at end

local function legal(from, to) return string.find(LEGAL, ' ' .. from .. '>' .. to .. ' ', 1, true) end

-- Take a job out of the place that its state says it is in.
local function leave(job)
  local state = job.state
  count(state, -1)
  if state == 'queued' then
    if not job.popped then redis.call('ZREM', K.again, job.id) end -- in a list its id stays, and is skipped there
  elseif state == 'waiting' then
    redis.call('ZREM', K.waiting, job.id)
    if is_file(job) then redis.call('ZREM', K.files .. ending(job.lane), job.id) end
  elseif state == 'sending' then
    redis.call('ZREM', K.leases, job.id)
  elseif state == 'parked' then
    count('parked:' .. job.reason, -1)
    if job.scope then redis.call('ZREM', F.held .. job.scope, job.id) else redis.call('ZREM', K.parked, job.id) end
    redis.call('HDEL', job.key, 'reason', 'scope', 'until')
    job.reason, job.scope = nil, nil
  else
    redis.call('ZREM', K[state], job.id)
    if state == 'dead' then count('dead:' .. job.verdict, -1) end
    redis.call('HDEL', job.key, 'ended', 'verdict', 'reason')
  end
end

-- Change a job's state, if that is legal; the caller puts it into its new place.
local function move(job, to)
  if not legal(job.state, to) then return false end
  leave(job)
  job.state = to
  count(to, 1)
  set(job, 'state', to)
  return true
end

local function one() return 1 end

-- Ring for as many jobs as `ready` counts, unless enough bells lie in the queue already. An empty bell is no bell.
local function ring(queue, bell, ready)
  local bells = bell ~= '' and redis.call('LLEN', queue)
  if bells and bells < 64 and bells < math.ceil(ready() / 100) then redis.call('LPUSH', queue, bell) end
end

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
-- Pushed all together by line_up(), at the end of the script.
local lines = {}
local function ready(id, urgent, source)
  local line = (urgent and F.urgent or F.ready) .. source
  if not lines[line] then lines[line] = {turns = urgent and K.urgent_turns or K.turns, source = source} end
  table.insert(lines[line], id)
end

local function line_up()
  for line, ids in pairs(lines) do
    for i = 1, #ids, 1000 do
      local last = math.min(i + 999, #ids)
      local length = redis.call('RPUSH', line, unpack(ids, i, last))
      if length == last - i + 1 then redis.call('RPUSH', ids.turns, ids.source) end -- it was empty
    end
  end
  lines = {}
end

-- Where a job starts: behind the others of its lane, or ready.
local function place(id, at, lane, urgent, source, first)
  if lane == '' then
    ready(id, urgent == '1', source)
    return 'queued'
  end
  if string.sub(lane, 1, 5) == 'files' then
    redis.call('ZADD', K.files .. ending(lane), turn({at = at, first = first}), id)
  else
    redis.call('ZADD', F.lane .. lane, at, id)
    if redis.call('ZCARD', F.lane .. lane) == 1 then return place(id, at, '', urgent, source) end
  end
  redis.call('ZADD', K.waiting, at, id)
  return 'waiting'
end

-- How many are ready, at least: those of the source whose turn it is, and one of each other.
local function in_line(turns, line)
  local source = redis.call('LINDEX', turns, 0)
  return source and redis.call('LLEN', line .. source) + redis.call('LLEN', turns) - 1 or 0
end

local function urgent_jobs() return in_line(K.urgent_turns, F.urgent) end
local function ready_jobs() return in_line(K.turns, F.ready) + redis.call('ZCARD', K.again) end

local function ring_for_ready(bell, urgent_bell)
  ring(KEYS[3], urgent_bell, urgent_jobs)
  ring(KEYS[2], bell, ready_jobs)
end

-- A worker that took jobs a moment ago is awake: it looks again before it goes to rest, and every moment until then. Who
-- enqueues then need not ring, or each job would cost a Celery message; more workers are woken now and then (claim.lua).
local AWAKE_MS, WAKE_MORE_MS = 250, 50
local function lately(what, ms)
  local at = tonumber(redis.call('HGET', K.pace, what) or '-1')
  return at <= now and now - at < ms
end

local function ring_unless_awake(bell, urgent_bell)
  ring(KEYS[3], urgent_bell, urgent_jobs)
  if not lately('awake', AWAKE_MS) then ring(KEYS[2], bell, ready_jobs) end
end

-- The region's concurrency: how many jobs may be out at a time. Halved by each throttling, it grows by one as often as
-- that many were delivered, until all workers are busy again; then there is no limit.
local function live_workers()
  local all, sum = redis.call('HGETALL', K.workers), 0
  for i = 2, #all, 2 do
    local concurrency, expires = string.match(all[i], '^(%d+):(%d+)$')
    if tonumber(expires) > now then sum = sum + tonumber(concurrency) else redis.call('HDEL', K.workers, all[i - 1]) end
  end
  return sum
end

local function halve_concurrency()
  local busy = live_workers()
  local limit = math.min(tonumber(redis.call('HGET', K.concurrency, 'limit') or busy), busy)
  redis.call('HSET', K.concurrency, 'limit', math.max(1, math.floor(limit / 2)), 'full', busy, 'delivered', 0)
end

local function grow_concurrency(delivered)
  local found = redis.call('HMGET', K.concurrency, 'limit', 'full', 'delivered')
  if not found[1] then return end
  local limit, full = tonumber(found[1]), tonumber(found[2])
  delivered = delivered + tonumber(found[3])
  while delivered >= limit and limit < full do
    delivered, limit = delivered - limit, limit + 1
  end
  if limit >= full then return redis.call('DEL', K.concurrency) end
  redis.call('HSET', K.concurrency, 'limit', limit, 'delivered', delivered)
end

-- Back to work: a file to its lane, where it goes first, any other job before those enqueued after it, an urgent one
-- before all that are not.
local function requeue(job)
  local to = is_file(job) and not job.phase and 'waiting' or 'queued'
  if not move(job, to) then return false end
  if to == 'waiting' then
    redis.call('ZADD', K.waiting, job.at, job.id)
    redis.call('ZADD', K.files .. ending(job.lane), turn(job), job.id)
  else
    redis.call('ZADD', K.again, job.urgent and whole(job.at - 1e16) or job.at, job.id)
  end
  return true
end

-- A job of a case's lane has ended: the next of the lane may go, unless the one that ended was itself waiting.
local function free_lane(job, was)
  if not job.lane or is_file(job) then return end
  local lane = F.lane .. job.lane
  redis.call('ZREM', lane, job.id)
  if was == 'waiting' then return end
  local head = redis.call('ZRANGE', lane, 0, 0)[1]
  local follower = head and load(head)
  if follower and follower.state == 'waiting' then requeue(follower) end
end

-- Contents: `contents` says since when each is needed no more (+inf: it still is), `content_bytes` how much all take.
local function store_content(id, content)
  redis.call('SET', F.content .. id, content)
  redis.call('ZADD', K.contents, '+inf', id)
  redis.call('INCRBY', K.content_bytes, whole(#content))
end

local function forget_content(id)
  local size = redis.call('STRLEN', F.content .. id)
  redis.call('ZREM', K.contents, id)
  if size == 0 then return end
  redis.call('UNLINK', F.content .. id)
  redis.call('DECRBY', K.content_bytes, whole(size))
end

-- A delivered file's content is kept for a while, for its rejected rows; a dead one's for a replay.
local function keep_content(job, state)
  if state == 'delivered' then
    redis.call('ZADD', K.contents, 'XX', whole(now), job.id)
  elseif state == 'cancelled' or state == 'expired' then
    forget_content(job.id)
  end
end

-- Into one of the final states (or dead, or unknown), which are sorted sets of that name.
local function finish(job, to)
  local was = job.state
  if not move(job, to) then return false end
  set(job, 'ended', whole(now))
  redis.call('ZADD', K[to], whole(now), job.id)
  if job.expires or job.give_up then redis.call('ZREM', K.deadlines, job.id) end
  if to ~= 'unknown' then free_lane(job, was) end
  if is_file(job) then keep_content(job, to) end
  return true
end

local function bury(job, verdict)
  if not finish(job, 'dead') then return false end
  set(job, 'verdict', verdict)
  count('dead:' .. verdict, 1)
  return true
end

-- Whether a lane's upload slot is open. (A start in the future: Redis' clock stepped back; mark.lua mends it.)
local function slot_is_open(lane, interval)
  local start = tonumber(redis.call('GET', K.slot .. ending(lane)) or '0')
  return start == 0 or start > now or now - start >= tonumber(interval)
end

-- Holds. A hold is JSON: reason, verdict, by, since, until (a person's), probe_at, probe_ms, step,
-- give_up_ms, job (which opened it), probe_job (the one it let go), probe_until (when another may go in its stead).
local function get_hold(scope)
  local text = redis.call('HGET', K.holds, scope)
  return text and cjson.decode(text)
end

local function may_probe(hold) return hold.probe_at and hold.probe_at <= now and (hold.probe_until or 0) <= now end

local function put_hold(scope, hold) redis.call('HSET', K.holds, scope, cjson.encode(hold)) end

local function lift(scope)
  redis.call('HDEL', K.holds, scope)
  if redis.call('EXISTS', F.held .. scope) == 1 then redis.call('SADD', K.releasing, scope) end
end

-- Open a hold where there is none; a hold that stands, a person's above all, stays as it is.
local function open_hold(spec, job)
  if redis.call('HEXISTS', K.holds, spec.scope) == 1 then return end
  redis.call('SREM', K.releasing, spec.scope)
  if spec.verdict == 'throttled' then halve_concurrency() end
  put_hold(spec.scope, {
    reason = spec.reason, verdict = spec.verdict, by = 'gaugepost', since = now, probe_ms = spec.probe_ms, step = 1,
    probe_at = now + spec.probe_ms[1], give_up_ms = spec.give_up_ms, job = job.id,
  })
end

-- Park under a hold, until it lets the job go. The time to give up runs from the first parking, through all its probes.
local function park_held(job, scope, reason, give_up_ms)
  if not move(job, 'parked') then return false end
  set(job, 'reason', reason, 'scope', scope)
  count('parked:' .. reason, 1)
  redis.call('ZADD', F.held .. scope, job.at, job.id)
  if give_up_ms then
    job.give_up = job.give_up or whole(now + give_up_ms)
    set(job, 'give_up', job.give_up)
    redis.call('ZADD', K.deadlines, 'LT', job.give_up, job.id)
  end
  return true
end
