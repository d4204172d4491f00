-- WITH jobs, slow_start: a configuration that is new to the workers starts with one job.
-- A missing mapping would otherwise meet hundreds of requests before its hold opens. Until the first job has an answer,
-- the others wait aside: in ready lists of a source of their own, which has no turn, so that they are in nobody's way.
-- When one job was delivered, that source takes its turn until its list is empty, and no other job of the configuration
-- goes before those. `cold` has for each such configuration '<ms until it is tried again>:<first job>', -1: no more.

local FIRST_MS = 120000 -- no worker may ever claim the first job: it may be cancelled

local some_cold = redis.call('HLEN', K.cold) > 0

local function aside(configuration) return '~' .. configuration end -- no source of a job has this character

local function to_stamp(text) return text and is_whole(text) and tonumber(text) or 0 end
local function stamp_of(id) return to_stamp(redis.call('HGET', F.job .. id, 'at')) end

local function configuration_of(id)
  local found = redis.call('HMGET', F.job .. id, 'about', 'revision', 'at', 'urgent')
  local _, configuration = about({key = F.job .. id, about = found[1], revision = found[2]})
  if configuration ~= '' then return configuration, to_stamp(found[3]), found[4] end
end

-- Put jobs aside, in the order enqueued: gathered by put_aside, written by line_up_aside. Those older than the last one
-- aside go to the front.
local gathered = {}
local function put_aside(id, configuration, at, urgent)
  local line = (urgent and F.urgent or F.ready) .. aside(configuration)
  gathered[line] = gathered[line] or {}
  table.insert(gathered[line], {id = id, at = at})
end

local function line_up_aside()
  for line, jobs in pairs(gathered) do
    table.sort(jobs, function(one, other) return one.at < other.at end)
    local last = redis.call('LINDEX', line, -1)
    local newest = last and stamp_of(last) or 0
    for i = #jobs, 1, -1 do
      if jobs[i].at < newest then redis.call('LPUSH', line, jobs[i].id) end
    end
    for _, job in ipairs(jobs) do
      if job.at >= newest then redis.call('RPUSH', line, job.id) end
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

-- Let all jobs of a configuration go, those aside before the others.
local function warm_up(configuration)
  local source, left = aside(configuration), false
  local function give_turn(turns, line)
    if redis.call('EXISTS', line .. source) == 0 then return end
    redis.call('RPUSH', turns, source)
    left = true
  end
  give_turn(K.urgent_turns, F.urgent)
  give_turn(K.turns, F.ready)
  if left then redis.call('HSET', K.cold, configuration, '-1:') else redis.call('HDEL', K.cold, configuration) end
end

-- Let the next job that waits aside go as the first one; all of them where a hold keeps them anyway.
local function next_first(configuration)
  if redis.call('HEXISTS', K.holds, 'configuration:' .. configuration) == 1 then return warm_up(configuration) end
  local source = aside(configuration)
  for _ = 1, 100 do -- ids of cancelled jobs may lie there
    local id = redis.call('LPOP', F.urgent .. source) or redis.call('LPOP', F.ready .. source)
    if not id then return redis.call('HDEL', K.cold, configuration) end
    local job = load(id)
    if job and job.state == 'queued' then
      come_again(job)
      return mark_cold(configuration, id)
    end
  end
end

-- A worker gives a job back unsent, since `first` goes first.
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

-- A job was settled: after a delivery all others may go, after another end of the first one the next.
local function note_answer(job, delivered)
  line_up_aside()
  local configuration = configuration_of(job.id)
  local mark = configuration and cold_mark(configuration)
  if not mark or mark.ends < 0 then return end
  if delivered then warm_up(configuration) elseif mark.first == job.id then next_first(configuration) end
end
