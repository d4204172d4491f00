-- WITH jobs, slow_start: a configuration that is new to the workers starts with one job.
-- Otherwise a missing mapping would cause hundreds of requests before its hold opens. Until the first job has an answer, the
-- others are put aside: into ready lists of a special source `~<configuration>`, which has no turn. After the first delivery
-- that source gets turns until its list is empty, and no other job of the configuration overtakes those. `cold` has for each
-- such configuration '<ms when the next job is tried>:<first job>'; -1: it has delivered.

local FIRST_MS = 120000 -- time limit of the first job, because it may never be claimed: it may be cancelled

local some_cold = redis.call('HLEN', K.cold) > 0

local function aside(configuration) return '~' .. configuration end -- sources of jobs cannot contain this character

local function to_stamp(text) return text and is_whole(text) and tonumber(text) or 0 end
local function stamp_of(id) return to_stamp(redis.call('HGET', F.job .. id, 'at')) end

local function configuration_of(id)
  local found = redis.call('HMGET', F.job .. id, 'about', 'revision', 'at', 'urgent')
  local _, configuration = about({key = F.job .. id, about = found[1], revision = found[2]})
  if configuration ~= '' then return configuration, to_stamp(found[3]), found[4] end
end

-- Put jobs aside in the order of their stamps: put_aside gathers them, push_aside writes them. Jobs older than the last one
-- of the list go to its front.
local gathered = {}
local function put_aside(id, configuration, at, urgent)
  local list = (urgent and F.urgent or F.ready) .. aside(configuration)
  gathered[list] = gathered[list] or {}
  table.insert(gathered[list], {id = id, at = at})
end

local function push_aside()
  for list, jobs in pairs(gathered) do
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
  gathered = {}
end

local function cold_mark(configuration)
  local text = redis.call('HGET', K.cold, configuration)
  if not text then return nil end
  local ends, first = string.match(text, '^(-?%d+):(.*)$')
  return {ends = tonumber(ends), first = first}
end

local function mark_cold(configuration, first)
  redis.call('HSET', K.cold, configuration, whole(now + FIRST_MS) .. ':' .. first)
  some_cold = true
end

-- Release all jobs of a configuration; those that were put aside go first.
local function warm_up(configuration)
  local source, left = aside(configuration), false
  local function give_turn(turns, list)
    if redis.call('EXISTS', list .. source) == 0 then return end
    redis.call('RPUSH', turns, source)
    left = true
  end
  give_turn(K.urgent_turns, F.urgent)
  give_turn(K.turns, F.ready)
  if left then redis.call('HSET', K.cold, configuration, '-1:') else redis.call('HDEL', K.cold, configuration) end
end

-- Release the next job that was put aside as the first one; all of them if a hold stops the configuration anyway.
local function next_first(configuration)
  if redis.call('HEXISTS', K.holds, 'configuration:' .. configuration) == 1 then return warm_up(configuration) end
  local source = aside(configuration)
  for _ = 1, 100 do -- the list may have ids of cancelled jobs
    local id = redis.call('LPOP', F.urgent .. source) or redis.call('LPOP', F.ready .. source)
    if not id then return redis.call('HDEL', K.cold, configuration) end
    local job = load(id)
    if job and job.state == 'queued' then
      come_again(job)
      return mark_cold(configuration, id)
    end
  end
end

-- A worker returns a job unsent, because `first` is the first job of its configuration.
local function wait_aside(job, configuration, first)
  local mark = cold_mark(configuration)
  local is_out = redis.call('HGET', F.job .. first, 'state') == 'sending'
  if not mark and is_out and redis.call('EXISTS', F.warm .. configuration) == 0 then
    mark_cold(configuration, first)
  elseif not mark or mark.ends < 0 then
    return requeue(job)
  end
  if not move(job, 'queued') then return false end
  put_aside(job.id, configuration, tonumber(job.at), job.urgent)
  return true
end

-- A job was settled: after a delivery release all others, after another outcome of the first job release the next one.
local function note_answer(job, delivered)
  push_aside()
  local configuration = configuration_of(job.id)
  local mark = configuration and cold_mark(configuration)
  if not mark or mark.ends < 0 then return end
  if delivered then warm_up(configuration) elseif mark.first == job.id then next_first(configuration) end
end
