-- Claim a parcel under leases and fencing tokens: urgent jobs first, then those that come again, then the rest, in
-- the order enqueued, and a file if the upload slot is open. A held region gives at most one job, its hold's probe,
-- when that is due. A job that meets a hold on its mapping or its credentials parks there instead. What is left
-- behind is rung for. Atomic, so that no two workers hold one job.
-- KEYS  prefix, queue, urgent queue
-- ARGV  worker, token of this call, how many at most, lease in ms, upload interval in ms, bell, urgent bell
-- RETURN jobs left behind ('0' while held); then for each job: id, fencing token, stamp, JSON, history,
--        '*' .. scope if it is the probe of that hold, and its hold's verdict. The same again for a repeated call.

local worker, token, want, lease = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local out = {'0'}

local function give(job, probe, verdict)
  local found = redis.call('HMGET', job.key, 'job', 'fence')
  for _, value in ipairs({job.id, found[2], job.at, found[1], job.history or '', probe, verdict}) do
    out[#out + 1] = value
  end
end

local last = redis.call('GET', K.claim .. worker)
last = last and cjson.decode(last)
if last and last.token == token then -- redis-py repeats a command whose answer was lost
  for _, id in ipairs(last.ids) do
    local job = load(id)
    if job and job.state == 'sending' then give(job, last.probes[id] or '', last.verdicts[id] or '') end
  end
  return out
end

local claimed = {token = token, ids = {}, probes = {}, verdicts = {}}
local function take(job, scope, hold)
  if not move(job, 'sending') then return end
  redis.call('HINCRBY', job.key, 'fence', 1)
  redis.call('ZADD', K.leases, whole(now + lease), job.id)
  local probe, verdict = '', ''
  if scope then
    hold.probe_until, hold.probe_job = now + 2 * lease, job.id
    put_hold(scope, hold)
    probe, verdict = '*' .. scope, hold.verdict or ''
    claimed.probes[job.id], claimed.verdicts[job.id] = probe, verdict
  end
  claimed.ids[#claimed.ids + 1] = job.id
  give(job, probe, verdict)
end

-- The hold that this job has to wait for, if any.
local function held_by(job)
  local facts = cjson.decode(redis.call('HGET', job.key, 'job'))
  for _, scope in ipairs({'credentials:' .. NEEDS[facts.kind], 'configuration:' .. (facts.configuration or '')}) do
    local hold = get_hold(scope)
    if hold then return scope, hold end
  end
end

local held = redis.call('HLEN', K.holds) > 0
local function consider(job)
  if job.expires and tonumber(job.expires) <= now then return finish(job, 'expired') end
  local scope, hold
  if held then scope, hold = held_by(job) end
  if not scope then return take(job) end
  local let_go = redis.call('HGET', job.key, 'probe')
  if let_go == scope then
    redis.call('HDEL', job.key, 'probe')
    return take(job, scope, hold)
  end
  park_held(job, scope, hold.reason, hold.give_up_ms)
end

-- The next id of the region, and whether it was in a list; nil when there is none.
local function next_id()
  local id = redis.call('LPOP', K.urgent)
  if id then return id end
  id = redis.call('ZPOPMIN', K.again)[1]
  if id then return id end
  return redis.call('LPOP', K.ready) or nil
end

local region = get_hold('')
if region and region['until'] and region['until'] <= now then
  lift('')
  region = nil
end

-- The next queued job, taken out of its list.
local function next_job()
  local id = next_id()
  while id do
    local job = load(id)
    if job and job.state == 'queued' then
      job.popped = true
      return job
    end
    id = next_id()
  end
end

local function next_file()
  local id = slot_is_open(ARGV[5]) and redis.call('ZRANGE', K.files, 0, 0)[1]
  return id and load(id)
end

if region then
  if not may_probe(region) then return out end
  local opener = region.job and load(region.job) -- what was refused tells best whether it still is
  local probe = opener and opener.state == 'queued' and opener or next_job() or next_file()
  if probe then take(probe, '', region) end
else
  local file = next_file()
  if file then consider(file) end
  for _ = 1, want * 10 do -- bounded: a job that is parked on the way costs time too
    local job = #claimed.ids < want and next_job()
    if not job then break end
    consider(job)
  end
  out[1] = whole(ready_jobs() + redis.call('LLEN', K.urgent))
end

redis.call('SET', K.claim .. worker, cjson.encode(claimed), 'PX', whole(lease))
flush()
if not region then ring_for_ready(ARGV[6], ARGV[7]) end
return out
