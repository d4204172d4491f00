-- Let parked jobs go whose time has come, and jobs of lifted holds, both at a bounded rate by Redis' clock, so that
-- any number of beats may tick. Send each due hold its probe. Let expired jobs expire and hopeless ones give up.
-- Ring where there is work, so that a lost bell is rung again by the next tick.
-- KEYS  prefix, queue, urgent queue
-- ARGV  due jobs a second, released jobs a second, lease in ms, bell, urgent bell
-- RETURN how many jobs were let go

local function allowance(name, rate)
  local last = tonumber(redis.call('HGET', K.pace, name) or '0')
  if last > now then last = now end -- the clock stepped back
  local n = math.floor(math.min(now - last, 1000) * rate / 1000)
  if n > 0 then redis.call('HSET', K.pace, name, whole(now)) end
  return n
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
    local ids = n > gone and redis.call('ZRANGE', K.held .. scope, 0, n - gone - 1) or {}
    for _, id in ipairs(ids) do
      local job = load(id)
      if not job or not requeue(job) then redis.call('ZREM', K.held .. scope, id) end
    end
    gone = gone + #ids
    if redis.call('EXISTS', K.held .. scope) == 0 then redis.call('SREM', K.releasing, scope) end
  end
  return gone
end

-- A person's hold ends at its `until`; another sends one job when its probe is due.
local function tend_hold(scope)
  local hold = get_hold(scope)
  if hold['until'] and hold['until'] <= now then return lift(scope) end
  if scope == '' or not may_probe(hold) then return end
  local id = redis.call('ZRANGE', K.held .. scope, 0, 0)[1]
  local job = id and load(id)
  if not id then return redis.call('HDEL', K.holds, scope) end -- nobody waits for it: the next job finds out
  hold.probe_until = now + 2 * tonumber(ARGV[3])
  put_hold(scope, hold)
  if job and requeue(job) then set(job, 'probe', scope) else redis.call('ZREM', K.held .. scope, id) end
end

-- A job that expires before it is sent, or has waited long enough for a mapping.
local function end_one(job)
  local expires, give_up = tonumber(job.expires or ''), tonumber(job.give_up or '')
  if expires and expires <= now and finish(job, 'expired') then return end
  if give_up and give_up <= now and job.scope then return bury(job, job.reason) end
  if expires then redis.call('ZADD', K.deadlines, whole(math.max(expires, now + 60000)), job.id) end -- being sent
end

local function deadlines()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', K.deadlines, '-inf', whole(now), 'LIMIT', 0, 200)) do
    redis.call('ZREM', K.deadlines, id)
    local job = load(id)
    if job and LEGAL[job.state .. '>' .. 'cancelled'] or job and job.state == 'sending' then end_one(job) end
  end
end

deadlines()
for _, scope in ipairs(redis.call('HKEYS', K.holds)) do tend_hold(scope) end
local gone = due_jobs() + released_jobs()
flush()

local region = get_hold('')
if not region or may_probe(region) then ring_for_ready(ARGV[4], ARGV[5]) end
return gone
