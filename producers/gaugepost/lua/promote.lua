-- Let parked jobs go whose time has come, and jobs of lifted holds, both at a bounded rate by Redis' clock, so that
-- any number of beats may tick. Send each due hold its probe. Let expired jobs expire and hopeless ones give up. Let the
-- next job of a configuration go whose first one never had an answer.
-- Ring where there is work, so that a lost bell is rung again by the next tick.
-- WITH  jobs, holds, slow_start
-- KEYS  prefix, queue, urgent queue
-- ARGV  due jobs a second, released jobs a second, lease in ms
-- RETURN how many jobs were let go

even_when_full()

local function allowance(name, rate)
  local last = tonumber(redis.call('HGET', K.pace, name) or '0')
  local n = math.floor(math.min(now - last, 1000) * rate / 1000)
  if n > 0 or last > now then redis.call('HSET', K.pace, name, whole(now)) end
  return math.max(n, 0) -- less than nothing: the clock stepped back, and the pace begins anew
end

local function due_jobs()
  local n = allowance('due', tonumber(ARGV[1]))
  if n == 0 then return 0 end
  local ids = redis.call('ZRANGEBYSCORE', K.parked, '-inf', whole(now), 'LIMIT', 0, n)
  for _, id in ipairs(ids) do
    local job = load(id)
    if not job or not requeue(job) then redis.call('ZREM', K.parked, id) end
  end
  return #ids
end

local function released_jobs()
  local n, gone = allowance('released', tonumber(ARGV[2])), 0
  for _, scope in ipairs(redis.call('SMEMBERS', K.releasing)) do
    local ids = n > gone and redis.call('ZRANGE', F.held .. scope, 0, n - gone - 1) or {}
    for _, id in ipairs(ids) do
      local job = load(id)
      if job and requeue(job) then
        redis.call('HDEL', job.key, 'give_up') -- another hold is another wait
      else
        redis.call('ZREM', F.held .. scope, id)
      end
    end
    gone = gone + #ids
    if redis.call('EXISTS', F.held .. scope) == 0 then redis.call('SREM', K.releasing, scope) end
  end
  return gone
end

-- A person's hold ends at its `until`; another sends one job when its probe is due, unless the region is held.
local function tend_hold(scope)
  local hold = get_hold(scope)
  if hold['until'] and hold['until'] <= now then return lift(scope) end
  if not may_probe(hold) or redis.call('HEXISTS', K.holds, '') == 1 then return end
  local id = redis.call('ZRANGE', F.held .. scope, 0, 0)[1]
  local job = id and load(id)
  if not id then return redis.call('HDEL', K.holds, scope) end -- nobody waits for it: the next job finds out
  if not job or not requeue(job) then return redis.call('ZREM', F.held .. scope, id) end
  set(job, 'probe', scope)
  hold.probe_until, hold.probe_job = now + 2 * tonumber(ARGV[3]), id
  put_hold(scope, hold)
end

-- A job that expires before it is sent, or has waited long enough for a mapping. One that is being sent is looked at
-- again; one that waits for a person's hold does not give up.
local function end_one(job)
  local expires, give_up = tonumber(job.expires or ''), tonumber(job.give_up or '')
  if job.phase then expires = nil end -- it was sent; should it go back to its lane, settle.lua puts it here again
  if expires and expires <= now and finish(job, 'expired') then return end
  local hold = give_up and give_up <= now and job.scope and get_hold(job.scope)
  if hold and hold.verdict then return bury(job, hold.verdict) end
  if expires then redis.call('ZADD', K.deadlines, whole(expires > now and expires or now + 60000), job.id) end
end

local function deadlines()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', K.deadlines, '-inf', whole(now), 'LIMIT', 0, 200)) do
    redis.call('ZREM', K.deadlines, id)
    local job = load(id)
    if job and legal(job.state, 'cancelled') or job and job.state == 'sending' then end_one(job) end
  end
end

-- Also the end of a mark whose jobs are all gone.
local function tend_cold(configuration)
  local mark, source = cold_mark(configuration), aside(configuration)
  if mark.ends >= 0 and mark.ends <= now then return next_first(configuration) end
  if mark.ends < 0 and redis.call('EXISTS', F.urgent .. source, F.ready .. source) == 0 then
    redis.call('HDEL', K.cold, configuration)
  end
end

deadlines()
if some_cold then
  for _, configuration in ipairs(redis.call('HKEYS', K.cold)) do tend_cold(configuration) end
end
for _, scope in ipairs(redis.call('HKEYS', K.holds)) do tend_hold(scope) end
local gone = due_jobs() + released_jobs()
flush()

local region = get_hold('')
if not region or may_probe(region) then ring_for_ready() end
return gone
