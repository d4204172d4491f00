-- Bells: Celery messages that wake the workers of a region (bell.py).

-- Return a new id for a bell. It contains the time, which bell.py reads. It is unique, because Redis runs one script at a time.
local bell_ids = 0
local function new_id()
  bell_ids = bell_ids + 1
  return string.format('%08x-0000-4000-a%03x-%012x', clock[1], bell_ids, clock[2])
end

-- Push a message for a Celery task. Ids are made here, because few calls push a bell.
local function push_bell(queue, task)
  local bell = string.gsub(BELL, '<(%l+)>', {queue = queue, task = task, id = new_id(), tag = new_id()})
  redis.call('LPUSH', queue, bell)
end

-- Push a bell for this many ready jobs, unless the queue has enough bells: one for each 100 jobs, at most 64.
local function ring(queue, jobs)
  local bells = jobs > 0 and redis.call('LLEN', queue)
  if bells and bells < 64 and bells < math.ceil(jobs / 100) then push_bell(queue, DELIVER) end
end

-- Return a lower bound of the number of ready jobs: all of the source whose turn it is, and one of each other source.
local function count_ready(turns, list)
  local source = redis.call('LINDEX', turns, 0)
  return source and redis.call('LLEN', list .. source) + redis.call('LLEN', turns) - 1 or 0
end

-- Return lower bounds of the numbers of ready jobs: urgent ones, all others.
local function urgent_jobs() return count_ready(K.urgent_turns, F.urgent) end
local function ready_jobs() return count_ready(K.turns, F.ready) + redis.call('ZCARD', K.again) end

-- Push bells for the jobs that are ready now.
local function ring_for_ready()
  ring(KEYS[3], urgent_jobs())
  ring(KEYS[2], ready_jobs())
end

-- Return whether a time of `pace` is less than `ms` ago.
local function is_recent(field, ms)
  local at = tonumber(redis.call('HGET', K.pace, field) or '-1')
  return at <= now and now - at < ms
end

-- Return whether a worker is awake: it claimed jobs within AWAKE_MS, and claims again before it sleeps. Meanwhile enqueue
-- pushes no bell, because otherwise each job would cost a Celery message. claim.lua wakes further workers every WAKE_MORE_MS.
local AWAKE_MS, WAKE_MORE_MS = 250, 50
local function awake() return is_recent('awake', AWAKE_MS) end
