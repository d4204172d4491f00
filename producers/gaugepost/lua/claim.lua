-- Claim a parcel under leases, fencing tokens and a holder (the token of this call): urgent jobs first, then those that
-- come again, then the rest, each source's in the order enqueued, and a file if the upload slot is open. A held region
-- gives at most one job, its hold's probe, when that is due, a throttled one no more than may be out. A job that meets a
-- hold on its mapping or its credentials parks there instead; one whose configuration has its first job out waits aside.
-- What is left behind is rung for. Atomic, so that no two workers hold one job. Short, whatever the jobs: of large ones it
-- takes fewer than asked for.
-- WITH  jobs, holds, sorts, probes, slow_start, passing
-- KEYS  prefix, queue, urgent queue
-- ARGV  worker, token of this call, how many at most, lease in ms, upload interval in ms, how many the worker sends at a
--       time, '1' = urgent jobs only, then the upload lanes
-- RETURN jobs left behind ('0' while held); then for each job: id, fencing token, stamp, JSON, history,
--        '*' .. scope if it is the probe of that hold, its hold's verdict, its phase. The same again for a repeated call.

local worker, token, want, lease = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local urgent_only = ARGV[7] == '1'
local tries = want * 10 -- bounded: a job that is skipped or parked on the way costs time too
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

-- The hold that this job has to wait for, if any.
local some_hold = redis.call('HLEN', K.holds) > 0
local function held_by(job)
  if not some_hold then return nil end
  for _, scope in ipairs(scopes_of(job)) do
    local hold = get_hold(scope)
    if hold then return scope, hold end
  end
end

-- Take it, unless it has expired, or meets a hold and is not that hold's newest probe. A held region's own probe it is
-- where `region` is given.
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

-- The source whose turn it is; one whose next job has to wait leaves its turn to the others.
local function turn_of(turns, line)
  for _ = 1, 100 do
    local source = redis.call('LINDEX', turns, 0)
    if not source or not blocked[line .. source] then return source end
    redis.call('LMOVE', turns, turns, 'LEFT', 'RIGHT')
  end
end

-- The next ids of the source whose turn it is, and where they were: its share of n, so that each source is in each parcel.
-- Few at a time, since those that the budget does not suffice for come again.
local function take_turn(turns, line, n)
  local source = turn_of(turns, line)
  if not source then return nil end
  local share = math.min(math.ceil(n / redis.call('LLEN', turns)), 20)
  local ids = redis.call('LPOP', line .. source, share)
  if redis.call('EXISTS', line .. source) == 1 then
    redis.call('LMOVE', turns, turns, 'LEFT', 'RIGHT')
  else
    redis.call('LPOP', turns)
  end
  return ids or {}, {turns = turns, line = line, source = source}
end

local function pop_again(n)
  local popped, ids = redis.call('ZPOPMIN', K.again, n), {}
  for i = 1, #popped, 2 do ids[#ids + 1] = popped[i] end
  return ids
end

-- Ids of ready jobs, taken out of their list; n at most. Those that come again go before new ones, but leave them half.
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
          job.popped = not job.fence -- one that was out before may lie in `again` too
          consider(job, region)
        else
          come_again(job)
        end
      end
    end
  end
end

-- The first file of a lane, if the slot is open and nobody is about to take it: a later file must not overtake.
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

-- Take one job out of a held region. A breaker's probe is chosen; of any other hold what was refused tests it best.
local CHOICES = 8 -- a chosen job may turn out to be expired, or under a hold of its own
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
  if want < 1 then return out end -- whoever settles what is out will ring
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
