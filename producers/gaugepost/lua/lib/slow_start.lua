-- Slow start: a configuration that is new to the workers starts with one job.
-- Otherwise a missing mapping would cause hundreds of requests before its hold opens. Until the first job has an answer, the
-- others are deferred: into ready lists of a special source `~<configuration>`, which has no turn. After the first delivery
-- that source gets turns until its list is empty, and no other job of the configuration overtakes those. `cold` has for each
-- such configuration '<ms when the next job is tried>:<first job>'; -1: it has delivered.
-- WITH  jobs, transitions

local FIRST_MS = 120000 -- time limit of the first job, because it may never be claimed: it may be cancelled

local any_slow_start = redis.call('HLEN', K.cold) > 0

-- Return the source of a configuration's deferred jobs. Sources of jobs cannot contain this character.
local function deferred_source(configuration) return '~' .. configuration end

-- Return the enqueue stamp of a job, 0 if it has none.
local function to_stamp(text) return text and is_whole(text) and tonumber(text) or 0 end
local function stamp_of(id) return to_stamp(redis.call('HGET', F.job .. id, 'at')) end

-- Return the configuration of a job, its stamp and '1' if it is urgent; nothing for a job without a configuration.
local function configuration_of(id)
  local found = redis.call('HMGET', F.job .. id, 'about', 'revision', 'at', 'urgent')
  local _, configuration = kind_and_configuration({key = F.job .. id, about = found[1], revision = found[2]})
  if configuration ~= '' then return configuration, to_stamp(found[3]), found[4] end
end

-- Defer jobs in the order of their stamps: defer() collects them, write_deferred() writes them. Jobs older than the last one
-- of the list go to its front.
local deferred = {}
local function defer(id, configuration, at, urgent)
  local list = (urgent and F.urgent or F.ready) .. deferred_source(configuration)
  deferred[list] = deferred[list] or {}
  table.insert(deferred[list], {id = id, at = at})
end

local function write_deferred()
  for list, jobs in pairs(deferred) do
    table.sort(jobs, function(one, other) return one.at < other.at end)
    local last = redis.call('LINDEX', list, -1)
    local newest = last and stamp_of(last) or 0
    for i = #jobs, 1, -1 do
      if jobs[i].at < newest then redis.call('LPUSH', list, jobs[i].id) end
    end
    for _, job in ipairs(jobs) do
      if job.at >= newest then redis.call('RPUSH', list, job.id) end
    end
  end
  deferred = {}
end

-- Return the slow start of a configuration; nil if it has none.
local function slow_start_of(configuration)
  local text = redis.call('HGET', K.cold, configuration)
  if not text then return nil end
  local ends, first = string.match(text, '^(-?%d+):(.*)$')
  return {ends = tonumber(ends), first = first}
end

-- Let a configuration start with this first job.
local function start_slowly(configuration, first)
  redis.call('HSET', K.cold, configuration, whole(now + FIRST_MS) .. ':' .. first)
  any_slow_start = true
end

-- Release all jobs of a configuration; those that were deferred go first.
local function end_slow_start(configuration)
  local source, left = deferred_source(configuration), false
  local function give_turn(turns, list)
    if redis.call('EXISTS', list .. source) == 0 then return end
    redis.call('RPUSH', turns, source)
    left = true
  end
  give_turn(K.urgent_turns, F.urgent)
  give_turn(K.turns, F.ready)
  if left then redis.call('HSET', K.cold, configuration, '-1:') else redis.call('HDEL', K.cold, configuration) end
end

-- Release the next deferred job as the first one; all of them if a hold stops the configuration anyway.
local function next_first_job(configuration)
  if redis.call('HEXISTS', K.holds, 'configuration:' .. configuration) == 1 then return end_slow_start(configuration) end
  local source = deferred_source(configuration)
  for _ = 1, 100 do -- the list may have ids of cancelled jobs
    local id = redis.call('LPOP', F.urgent .. source) or redis.call('LPOP', F.ready .. source)
    if not id then return redis.call('HDEL', K.cold, configuration) end
    local job = load(id)
    if job and job.state == 'queued' then
      add_to_again(job)
      return start_slowly(configuration, id)
    end
  end
end
