-- In front of each script; `ledger/scripts.py` puts it there, with what a script's header asks for as WITH, and writes
-- before it all
--   K, F   key names and those of families (keys.py), on PREFIX, which KEYS[1] names
--   older()  the prefix that versions without namespaces use; KEYS[1] itself for other namespaces than the default
--   KNOWS  the schema that this version knows (keys.py)
--   LEGAL  all 'from>to', between blanks (states.py)
--   NEEDS  kind -> credential it needs (jobs)
--   ENDPOINTS  kind -> family of endpoints that it goes to (jobs)
--   BELL   Celery's message that asks for a task, DELIVER the task that delivers (bell.py)
-- KEYS[2] is the queue of bells, KEYS[3] the queue of urgent bells.
-- The clock is Redis' own: no worker's clock decides anything.

-- A ledger of a version without namespaces stays under its names, which processes of that version use, until
-- `gaugepost move` gives it the new ones.
local schema = redis.call('GET', PREFIX .. 'schema')
if not schema and redis.call('EXISTS', PREFIX .. 'stamp') == 0 then
  local known = redis.call('EXISTS', older() .. 'schema')
  if known + redis.call('EXISTS', older() .. 'stamp') > 0 then PREFIX = older() end
  schema = redis.call('GET', K.schema)
end

-- A ledger that a newer version has changed past what this one knows is left alone; so is one that has moved (relocation.py).
schema = schema or '0'
if string.find(schema, '^renaming') then
  return redis.error_reply('LEDGERCLOSED `gaugepost move` is renaming the keys of this region: try again')
elseif not tonumber(schema) then
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

-- Give a worker something to log; the next tick hands it over (promote.lua). Bounded, since no worker may tick.
local NOTICES = 1000
local function notify(notice)
  notice.at = now
  redis.call('RPUSH', K.notices, cjson.encode(notice))
  redis.call('LTRIM', K.notices, -NOTICES, -1)
end

-- Files: the lane of a region is 'files'; where each family has a slot of its own, 'files:<family>'. A lane's own keys
-- (files, slot, filing) end as its name does. A file with a phase was sent: it is looked up, which needs no slot.
local function is_file(job) return job.lane and string.sub(job.lane, 1, 5) == 'files' end
local function ending(lane) return string.sub(lane, 6) end
local function turn(job) return job.first and whole(job.at - 1e16) or job.at end

-- Made here, not by who calls: few calls ring. Ids are of the moment (bell.py reads it), and Redis does one thing at a
-- time.
local rung = 0
local function new_id()
  rung = rung + 1
  return string.format('%08x-0000-4000-a%03x-%012x', clock[1], rung, clock[2])
end
local function push_bell(queue, task)
  local bell = string.gsub(BELL, '<(%l+)>', {queue = queue, task = task, id = new_id(), tag = new_id()})
  redis.call('LPUSH', queue, bell)
end

-- Ring for so many ready jobs, unless enough bells lie in the queue already.
local function ring(queue, jobs)
  local bells = jobs > 0 and redis.call('LLEN', queue)
  if bells and bells < 64 and bells < math.ceil(jobs / 100) then push_bell(queue, DELIVER) end
end

-- How many are ready, at least: those of the source whose turn it is, and one of each other.
local function in_line(turns, line)
  local source = redis.call('LINDEX', turns, 0)
  return source and redis.call('LLEN', line .. source) + redis.call('LLEN', turns) - 1 or 0
end

local function urgent_jobs() return in_line(K.urgent_turns, F.urgent) end
local function ready_jobs() return in_line(K.turns, F.ready) + redis.call('ZCARD', K.again) end

local function ring_for_ready()
  ring(KEYS[3], urgent_jobs())
  ring(KEYS[2], ready_jobs())
end

-- A worker that took jobs a moment ago is awake: it looks again before it goes to rest, and every moment until then. Who
-- enqueues then need not ring, or each job would cost a Celery message; more workers are woken now and then (claim.lua).
local AWAKE_MS, WAKE_MORE_MS = 250, 50
local function lately(what, ms)
  local at = tonumber(redis.call('HGET', K.pace, what) or '-1')
  return at <= now and now - at < ms
end

local function awake() return lately('awake', AWAKE_MS) end
