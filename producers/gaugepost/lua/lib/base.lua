-- The first part of each script. `ledger/scripts.py` builds a script of these constants, this file, the library files that
-- the script names after WITH, and the script itself:
--   K, F   names of keys and of families of keys (keys.py), with PREFIX, which KEYS[1] names
--   older()  the prefix of versions without namespaces; KEYS[1] itself for other namespaces than the default
--   KNOWS  the schema that this version knows (keys.py)
--   LEGAL  all 'from>to', separated by blanks (states.py)
--   NEEDS  kind -> credential that it needs (jobs)
--   ENDPOINTS  kind -> its family of endpoints (jobs)
--   BELL   a Celery message with placeholders; DELIVER  the name of the task that delivers (bell.py)
-- KEYS[2] is the queue of bells, KEYS[3] the queue of urgent bells.
-- All times are by Redis' clock, never by a worker's.

-- A ledger of a version without namespaces keeps its old names until `gaugepost move`, because processes of that version may
-- still use it.
local schema = redis.call('GET', PREFIX .. 'schema')
if not schema and redis.call('EXISTS', PREFIX .. 'stamp') == 0 then
  local known = redis.call('EXISTS', older() .. 'schema')
  if known + redis.call('EXISTS', older() .. 'stamp') > 0 then PREFIX = older() end
  schema = redis.call('GET', K.schema)
end

-- Refuse a ledger with a newer schema, and one that was moved to another Redis (relocation.py).
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

local function whole(number) return string.format('%.0f', number) end -- Lua's own format is 1.76e+12

-- Enqueue stamps: µs by Redis' clock, strictly increasing, so that they are both time and order.
local stamp
local function next_stamp()
  stamp = stamp and stamp + 1 or math.max(clock[1] * 1000000 + clock[2], tonumber(redis.call('GET', K.stamp) or '0') + 1)
  return whole(stamp)
end

-- A script adds up its counters. flush() writes them and the newest stamp at the end of the script.
local deltas = {}
local function count(name, by) deltas[name] = (deltas[name] or 0) + by end
local function flush()
  if stamp then redis.call('SET', K.stamp, whole(stamp)) end
  for name, by in pairs(deltas) do
    if by ~= 0 and redis.call('HINCRBY', K.counts, name, whole(by)) == 0 then redis.call('HDEL', K.counts, name) end
  end
end

-- When Redis is out of memory, it refuses a script whose first write needs memory. Scripts that work off jobs must still run,
-- so they begin with a write that needs none.
local function even_when_full() redis.call('ZREM', K.leases, '') end

-- Add a notice for a worker's log; promote.lua returns it at the next tick. The list is bounded, in case no tick comes.
local NOTICES = 1000
local function notify(notice)
  notice.at = now
  redis.call('RPUSH', K.notices, cjson.encode(notice))
  redis.call('LTRIM', K.notices, -NOTICES, -1)
end

-- Upload lanes: 'files' for the region, or 'files:<family>' if each family has its own. The keys of a lane (files, slot,
-- filing) end with the rest of its name. A file with a phase was sent: a worker reads its statistics, which needs no slot.
local function is_file(job) return job.lane and string.sub(job.lane, 1, 5) == 'files' end
local function ending(lane) return string.sub(lane, 6) end
-- The score of a file in its lane: files that go first have negative scores.
local function lane_score(job) return job.first and whole(job.at - 1e16) or job.at end

-- Ids of bells are made here, because few calls push a bell. An id contains the time, which bell.py reads. It is unique,
-- because Redis runs one script at a time.
local rung = 0
local function new_id()
  rung = rung + 1
  return string.format('%08x-0000-4000-a%03x-%012x', clock[1], rung, clock[2])
end
local function push_bell(queue, task)
  local bell = string.gsub(BELL, '<(%l+)>', {queue = queue, task = task, id = new_id(), tag = new_id()})
  redis.call('LPUSH', queue, bell)
end

-- Push a bell for this many ready jobs, unless the queue has enough bells: one for each 100 jobs, at most 64.
local function ring(queue, jobs)
  local bells = jobs > 0 and redis.call('LLEN', queue)
  if bells and bells < 64 and bells < math.ceil(jobs / 100) then push_bell(queue, DELIVER) end
end

-- A lower bound of the number of ready jobs: all of the source whose turn it is, and one of each other source.
local function count_ready(turns, list)
  local source = redis.call('LINDEX', turns, 0)
  return source and redis.call('LLEN', list .. source) + redis.call('LLEN', turns) - 1 or 0
end

local function urgent_jobs() return count_ready(K.urgent_turns, F.urgent) end
local function ready_jobs() return count_ready(K.turns, F.ready) + redis.call('ZCARD', K.again) end

local function ring_for_ready()
  ring(KEYS[3], urgent_jobs())
  ring(KEYS[2], ready_jobs())
end

-- A worker that claimed jobs within AWAKE_MS is awake: it claims again before it sleeps. Meanwhile enqueue pushes no bell,
-- because otherwise each job would cost a Celery message. claim.lua wakes further workers every WAKE_MORE_MS.
local AWAKE_MS, WAKE_MORE_MS = 250, 50
local function lately(what, ms)
  local at = tonumber(redis.call('HGET', K.pace, what) or '-1')
  return at <= now and now - at < ms
end

local function awake() return lately('awake', AWAKE_MS) end
