-- Claim jobs for a worker, each under a lease, a fencing token and a holder (the token of this call). Atomic, so that no two
-- workers claim the same job.
-- Order: urgent jobs, then requeued jobs (`again`), then new jobs, where sources take turns; and a file if the upload slot is
-- open. A held region gives only its probe, when that is due. A throttled region gives no more than its concurrency allows.
-- A job under a hold on its configuration, endpoints or credentials is parked. A job whose configuration waits for its first
-- answer is put aside. Bells are pushed for the jobs that are left. Large jobs count more, so that the script stays short.
-- WITH  jobs, holds, sorts, probes, slow_start, passing
-- KEYS  prefix, queue, urgent queue
-- ARGV  worker, token of this call, how many jobs at most, lease in ms, upload interval in ms, how many jobs the worker sends
--       at a time, '1' = urgent jobs only, then the upload lanes
-- RETURN number of ready jobs that are left ('0' under a hold); then for each job: id, fencing token, stamp, JSON, history,
--        '*' .. scope if it is the probe of that hold, verdict of that hold, phase. A repeated call returns the same jobs.

local worker, token, want, lease = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local urgent_only = ARGV[7] == '1'
local tries = want * 10 -- a limit, because skipped and parked jobs take time too
local out, claimed = {'0'}, {}

local function give(job, as)
  local json = redis.call('HGET', job.key, 'job') or ''
  spend(json)
  for _, value in ipairs({job.id, as.fence, job.at, json, job.history or '', as.probe, as.verdict, job.phase or ''}) do
    out[#out + 1] = value
  end
end

local function left() return whole(urgent_jobs() + (urgent_only and 0 or ready_jobs())) end

even_when_full()
redis.call('HSET', K.workers, worker, ARGV[6] .. ':' .. whole(now + 2 * lease))
local last = redis.call('GET', F.claim .. worker)
last = last and cjson.decode(last)
if last and last.token == token then -- redis-py repeats a command whose answer was lost
  for _, as in ipairs(last.jobs) do
    local job = load(as.id)
    if is_held(job, as.fence, token) then
      redis.call('ZADD', K.leases, whole(now + lease), job.id)
      give(job, as)
    end
  end
  redis.call('PEXPIRE', F.claim .. worker, whole(lease))
  if not get_hold('') then out[1] = left() end
  return out
end

local function take(job, scope, hold)
  if not move(job, 'sending') then return end
  local as = {id = job.id, fence = whole(redis.call('HINCRBY', job.key, 'fence', 1)), probe = '', verdict = ''}
  set(job, 'holder', token)
  redis.call('ZADD', K.leases, whole(now + lease), job.id)
  if is_file(job) and not job.phase then redis.call('SET', K.filing .. ending(job.lane), job.id) end
  if scope then
    hold.probe_until, hold.probe_job = now + 2 * lease, job.id
    put_hold(scope, hold)
    as.probe, as.verdict = '*' .. scope, hold.verdict or ''
    set(job, 'probe', scope) -- for ended_leases.lua
  end
  claimed[#claimed + 1] = as
  give(job, as)
end

-- Return the hold that stops this job, if any.
local some_hold = redis.call('HLEN', K.holds) > 0
local function held_by(job)
  if not some_hold then return nil end
  for _, scope in ipairs(scopes_of(job)) do
    local hold = get_hold(scope)
    if hold then return scope, hold end
  end
end

-- Claim a job, unless it has expired, or a hold stops it and it is not the current probe of that hold. `region`: the hold of
-- the region, whose probe this job becomes.
local function consider(job, region)
  if job.broken then return move(job, 'sending') and set_aside(job, job.phase) end
  if job.expires and not job.phase and (tonumber(job.expires) or math.huge) <= now then return finish(job, 'expired') end
  if job.probe then redis.call('HDEL', job.key, 'probe') end
  local scope, hold = held_by(job)
  if scope and (job.probe ~= scope or hold.probe_job ~= job.id) then
    return park_held(job, scope, hold.label or hold.reason, hold.give_up_ms)
  end
  if region then scope, hold = '', region end
  take(job, scope, hold)
end

-- Return the source whose turn it is. Skip a source whose next job must wait.
local function turn_of(turns, list)
  for _ = 1, 100 do
    local source = redis.call('LINDEX', turns, 0)
    if not source or not blocked[list .. source] then return source end
    redis.call('LMOVE', turns, turns, 'LEFT', 'RIGHT')
  end
end

-- Pop the next ids of the source whose turn it is: its share of n, so that each claim has jobs of all sources. At most 20,
-- because ids beyond the budget must be requeued. Return the ids and where they were.
local function take_turn(turns, list, n)
  local source = turn_of(turns, list)
  if not source then return nil end
  local share = math.min(math.ceil(n / redis.call('LLEN', turns)), 20)
  local ids = redis.call('LPOP', list .. source, share)
  if redis.call('EXISTS', list .. source) == 1 then
    redis.call('LMOVE', turns, turns, 'LEFT', 'RIGHT')
  else
    redis.call('LPOP', turns)
  end
  return ids or {}, {turns = turns, list = list, source = source}
end

local function pop_again(n)
  local popped, ids = redis.call('ZPOPMIN', K.again, n), {}
  for i = 1, #popped, 2 do ids[#ids + 1] = popped[i] end
  return ids
end

-- Pop at most n ids of ready jobs. Requeued jobs come before new ones, but take at most half of a claim.
local again_left = math.ceil(want / 2)
local function next_ids(n)
  local ids, from = take_turn(K.urgent_turns, F.urgent, n)
  if ids then return ids, from end
  local urgent = redis.call('ZCOUNT', K.again, '-inf', '(0')
  if urgent > 0 then return pop_again(math.min(n, urgent)) end
  if urgent_only then return {} end
  local again = redis.call('ZCARD', K.again)
  if again > 0 and again_left > 0 then
    again = math.min(again, again_left, n)
    again_left = again_left - again
    return pop_again(again)
  end
  ids, from = take_turn(K.turns, F.ready, n)
  return ids or pop_again(n), from
end

local function take_ready(region)
  while #claimed < want and tries > 0 and budget > 0 do
    local ids, from = next_ids(want - #claimed)
    if #ids == 0 then return end
    tries = tries - #ids
    for _, id in ipairs(pass_over(ids, from)) do
      local job = load(id)
      if job and job.state == 'queued' then
        if budget > 0 then
          job.popped = not job.fence -- a job that was claimed before may be in `again` too
          consider(job, region)
        else
          come_again(job)
        end
      end
    end
  end
end

-- Return the first file of a lane if the slot is open. Nil while a claimed file has not taken the slot yet: a later file must
-- not overtake it.
local function next_file(lane)
  local before = redis.call('GET', K.filing .. ending(lane))
  before = before and load(before)
  if before and before.state == 'sending' and not before.phase and before.marked ~= before.fence then return nil end
  local id = slot_is_open(lane, ARGV[5]) and redis.call('ZRANGE', K.files .. ending(lane), 0, 0)[1]
  return id and load(id)
end

local function next_files()
  local files = {}
  for i = 8, #ARGV do files[#files + 1] = next_file(ARGV[i]) or nil end
  return files
end

local function consider_files(region)
  for _, file in ipairs(next_files()) do
    if #claimed < want then consider(file, region) end
  end
end

-- Claim the probe of a held region. For a circuit breaker choose a job; for other holds take the job that opened the hold.
local CHOICES = 8 -- tries, because a chosen job may have expired, or another hold may stop it
local function take_probe(region)
  want = 1
  if region.verdict == 'server_error' then
    for _ = 1, CHOICES do
      local job = #claimed == 0 and choose_probe(region, urgent_only, urgent_only and {} or next_files())
      if job then consider(job, region) end
    end
  else
    local opener = region.job and load(region.job)
    if opener and opener.state == 'queued' then consider(opener, region) end
  end
  take_ready(region)
  consider_files(region)
end

local region = get_hold('')
if region and region['until'] and region['until'] <= now then
  lift('', 'its end has come')
  region = nil
end
if region then
  if not may_probe(region) then return out end
  take_probe(region)
else
  local limit = redis.call('HGET', K.concurrency, 'limit')
  if limit then want = math.min(want, limit - redis.call('ZCARD', K.leases)) end
  if want < 1 then return out end -- settle.lua pushes a bell when a job has ended
  if not urgent_only then consider_files() end
  take_ready()
  out[1] = left()
end

redis.call('SET', F.claim .. worker, cjson.encode({token = token, jobs = claimed}), 'PX', whole(lease))
flush()
if #claimed > 0 then redis.call('HSET', K.pace, 'awake', whole(now)) else redis.call('HDEL', K.pace, 'awake') end
if not region and not lately('woke', WAKE_MORE_MS) then
  ring_for_ready()
  redis.call('HSET', K.pace, 'woke', whole(now))
end
return out
