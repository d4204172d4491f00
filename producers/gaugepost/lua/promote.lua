-- Release parked jobs whose time has come, and jobs of lifted holds, both at a bounded rate by Redis' clock, so that
-- any number of beats may tick. Send each due hold its probe. Let expired jobs expire and hopeless ones give up. Release
-- the next job of a configuration whose first one never had an answer.
-- Ring where there is work, so that a lost bell is rung again by the next tick. One call does so little that it is short.
-- WITH  jobs, holds, credentials, slow_start, leases
-- KEYS  prefix, queue, urgent queue
-- ARGV  due jobs a second, released jobs a second, lease in ms, due jobs at most, holds (and new
--       configurations) that it looks at, then need and fingerprint of each credential that the caller has
-- RETURN how many jobs were released, 1 if more may be released now, and notices for the log; those of a call whose answer
--        is lost are lost

even_when_full()

-- How many may go by now, and whether that is more than `most`: the time that those take is for the next call.
local function allowance(name, rate, most)
  local last = tonumber(redis.call('HGET', K.pace, name) or '0')
  local since = last > now and now or math.max(last, now - 1000) -- the clock stepped back: the pace begins anew
  local n = math.floor((now - since) * rate / 1000)
  local more = n > most
  if more then n = most end
  if n > 0 or last > now then redis.call('HSET', K.pace, name, whole(more and since + n * 1000 / rate or now)) end
  return n, more
end

local function due_jobs()
  local n, more = allowance('due', tonumber(ARGV[1]), tonumber(ARGV[4]))
  if n == 0 then return 0, false end
  local ids = redis.call('ZRANGEBYSCORE', K.parked, '-inf', whole(now), 'LIMIT', 0, n)
  for _, id in ipairs(ids) do
    local job = load(id)
    if not job or not requeue(job) then redis.call('ZREM', K.parked, id) end
  end
  return #ids, more and #ids == n
end

local function released_jobs()
  local n, gone = allowance('released', tonumber(ARGV[2]), math.huge), 0
  for _, scope in ipairs(redis.call('SRANDMEMBER', K.releasing, 100)) do -- all of them, unless there are very many
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

-- A refused credential stops the region only until a worker has another one, or had none to begin with.
local mine = {}
for i = 6, #ARGV, 2 do mine['credentials:' .. ARGV[i]] = {need = ARGV[i], fingerprint = ARGV[i + 1]} end
local function is_about_another(scope, hold)
  local own = mine[scope]
  return own and hold.by == 'gaugepost' and hold.verdict == 'refused_credentials' and hold.fingerprint ~= own.fingerprint
    and not is_refused(own.need, own.fingerprint)
end

-- A person's hold ends at its `until`; another sends one job when its probe is due, unless the region is held.
local function tend_hold(scope)
  local hold = get_hold(scope)
  if not hold then return end
  if hold['until'] and hold['until'] <= now then return lift(scope, 'its end has come') end
  if is_about_another(scope, hold) then
    return lift(scope, 'a worker has another credential'), forget_token_failures()
  end
  if not may_probe(hold) or redis.call('HEXISTS', K.holds, '') == 1 then return end
  local id = redis.call('ZRANGE', F.held .. scope, 0, 0)[1]
  local job = id and load(id)
  if not id then return lift(scope, 'no job waits under it') end -- the next job tests it
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
  if hold and hold.verdict then
    notify({event = 'dead', job = job.id, verdict = hold.verdict, scope = job.scope})
    return bury(job, hold.verdict)
  end
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
  if not mark then return end
  local late = mark.ends <= now or mark.ends > now + FIRST_MS -- the clock stepped back
  if mark.ends >= 0 and late then return next_first(configuration) end
  if mark.ends < 0 and redis.call('EXISTS', F.urgent .. source, F.ready .. source) == 0 then
    redis.call('HDEL', K.cold, configuration)
  end
end

-- Look at what has a name in a hash: at all, or where there are very many at some, and the next call at the next ones.
local function walk(name, hash, tend)
  local found = redis.call('HSCAN', hash, redis.call('HGET', K.pace, name) or '0', 'COUNT', ARGV[5])
  for i = 1, #found[2], 2 do tend(found[2][i]) end
  if found[1] == '0' then redis.call('HDEL', K.pace, name) else redis.call('HSET', K.pace, name, found[1]) end
end

watch_clock(tonumber(ARGV[3]))
deadlines()
walk('holds', K.holds, tend_hold)
if some_cold then walk('cold', K.cold, tend_cold) end
local due, more = due_jobs()
local gone = due + released_jobs()
flush()

local region = get_hold('')
if not region or may_probe(region) then ring_for_ready() end
return {gone, more and 1 or 0, redis.call('LPOP', K.notices, 100) or {}}
