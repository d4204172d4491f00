-- Claim a parcel under leases and fencing tokens: urgent jobs first, then those that come again, then the rest, in
-- the order enqueued, and a file if the upload slot is open. A held region gives at most one job, its hold's probe,
-- when that is due. A job that meets a hold on its mapping or its credentials parks there instead. What is left
-- behind is rung for. Atomic, so that no two workers hold one job.
-- KEYS  prefix, queue, urgent queue
-- ARGV  worker, token of this call, how many at most, lease in ms, upload interval in ms, bell, urgent bell, then the
--       upload lanes
-- RETURN jobs left behind ('0' while held); then for each job: id, fencing token, stamp, JSON, history,
--        '*' .. scope if it is the probe of that hold, its hold's verdict, its phase. The same again for a repeated call.

local worker, token, want, lease = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local tries = want * 10 -- bounded: a job that is skipped or parked on the way costs time too
local out, claimed = {'0'}, {}

local function give(job, as)
  local json = redis.call('HGET', job.key, 'job')
  for _, value in ipairs({job.id, as.fence, job.at, json, job.history or '', as.probe, as.verdict, job.phase or ''}) do
    out[#out + 1] = value
  end
end

local function left() return whole(ready_jobs() + redis.call('LLEN', K.urgent)) end

even_when_full()
local last = redis.call('GET', K.claim .. worker)
last = last and cjson.decode(last)
if last and last.token == token then -- redis-py repeats a command whose answer was lost
  for _, as in ipairs(last.jobs) do
    local job = load(as.id)
    if job and job.state == 'sending' and job.fence == as.fence then
      redis.call('ZADD', K.leases, whole(now + lease), job.id)
      give(job, as)
    end
  end
  redis.call('PEXPIRE', K.claim .. worker, whole(lease))
  if not get_hold('') then out[1] = left() end
  return out
end

local function take(job, scope, hold)
  if not move(job, 'sending') then return end
  local as = {id = job.id, fence = whole(redis.call('HINCRBY', job.key, 'fence', 1)), probe = '', verdict = ''}
  redis.call('ZADD', K.leases, whole(now + lease), job.id)
  if is_file(job) and not job.phase then redis.call('SET', K.filing .. ending(job.lane), job.id) end
  if scope then
    hold.probe_until, hold.probe_job = now + 2 * lease, job.id
    put_hold(scope, hold)
    as.probe, as.verdict = '*' .. scope, hold.verdict or ''
  end
  claimed[#claimed + 1] = as
  give(job, as)
end

-- The hold that this job has to wait for, if any.
local some_hold = redis.call('HLEN', K.holds) > 0
local function held_by(job)
  if not some_hold then return nil end
  local facts = cjson.decode(redis.call('HGET', job.key, 'job'))
  for _, scope in ipairs({'credentials:' .. NEEDS[facts.kind], 'configuration:' .. (facts.configuration or '')}) do
    local hold = get_hold(scope)
    if hold then return scope, hold end
  end
end

-- Take it, unless it has expired, or meets a hold and is not that hold's newest probe. A held region's own probe it is
-- where `region` is given.
local function consider(job, region)
  if job.expires and not job.phase and tonumber(job.expires) <= now then return finish(job, 'expired') end
  if job.probe then redis.call('HDEL', job.key, 'probe') end
  local scope, hold = held_by(job)
  if scope and (job.probe ~= scope or hold.probe_job ~= job.id) then
    return park_held(job, scope, hold.reason, hold.give_up_ms)
  end
  if region then scope, hold = '', region end
  take(job, scope, hold)
end

local function next_id()
  return redis.call('LPOP', K.urgent) or redis.call('ZPOPMIN', K.again)[1] or redis.call('LPOP', K.ready)
end

-- The next queued job, taken out of its list.
local function next_job()
  while tries > 0 do
    tries = tries - 1
    local id = next_id()
    if not id then return nil end
    local job = load(id)
    if job and job.state == 'queued' then
      job.popped = true
      return job
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

local function consider_files(region)
  for i = 8, #ARGV do
    local file = #claimed < want and next_file(ARGV[i])
    if file then consider(file, region) end
  end
end

local region = get_hold('')
if region and region['until'] and region['until'] <= now then
  lift('')
  region = nil
end
if region then
  if not may_probe(region) then return out end
  want = 1
  local opener = region.job and load(region.job) -- what was refused tells best whether it still is
  if opener and opener.state == 'queued' then consider(opener, region) end
else
  consider_files()
end
while #claimed < want do
  local job = next_job()
  if not job then break end
  consider(job, region)
end
if region then consider_files(region) else out[1] = left() end

redis.call('SET', K.claim .. worker, cjson.encode({token = token, jobs = claimed}), 'PX', whole(lease))
flush()
if not region then ring_for_ready(ARGV[6], ARGV[7]) end
return out
