-- The work of the tick `promote`: requeue parked jobs that are due and jobs of lifted holds, both at a rate that Redis' clock
-- limits, so that any number of beats may tick. Requeue the probe of each hold that is due. End jobs that have expired or
-- have waited too long for a hold. Release the next job of a configuration whose first job got no answer. Push bells where
-- there is work, which replaces lost bells. Each call does a bounded amount of work.
-- WITH  jobs, holds, credentials, slow_start, leases
-- KEYS  prefix, queue, urgent queue
-- ARGV  due jobs a second, released jobs a second, lease in ms, due jobs of this call at most, how many holds (and new
--       configurations) to read, then need and fingerprint of each credential of the caller
-- RETURN how many jobs were released, 1 if more can be released now, notices for the log. If the answer is lost, its notices
--        are lost

even_when_full()

-- Return how many jobs the rate allows since the last call, at most `most`, and whether the rate allows more than that.
local function allowance(name, rate, most)
  local last = tonumber(redis.call('HGET', K.pace, name) or '0')
  local since = last > now and now or math.max(last, now - 1000) -- the clock stepped back: start again
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
  for _, scope in ipairs(redis.call('SRANDMEMBER', K.releasing, 100)) do -- all of them, unless there are more than 100
    local ids = n > gone and redis.call('ZRANGE', F.held .. scope, 0, n - gone - 1) or {}
    for _, id in ipairs(ids) do
      local job = load(id)
      if job and requeue(job) then
        redis.call('HDEL', job.key, 'give_up') -- under the next hold the time to give up starts again
      else
        redis.call('ZREM', F.held .. scope, id)
      end
    end
    gone = gone + #ids
    if redis.call('EXISTS', F.held .. scope) == 0 then redis.call('SREM', K.releasing, scope) end
  end
  return gone
end

-- A hold for a refused credential ends when the caller has another one that is not refused.
local mine = {}
for i = 6, #ARGV, 2 do mine['credentials:' .. ARGV[i]] = {need = ARGV[i], fingerprint = ARGV[i + 1]} end
local function is_about_another(scope, hold)
  local own = mine[scope]
  return own and hold.by == 'gaugepost' and hold.verdict == 'refused_credentials' and hold.fingerprint ~= own.fingerprint
    and not is_refused(own.need, own.fingerprint)
end

-- Lift a person's hold at its `until`. Requeue the probe of an automatic hold when it is due, unless the region is held.
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
  if not id then return lift(scope, 'no job waits under it') end -- the next job of this scope shows whether it works
  if not job or not requeue(job) then return redis.call('ZREM', F.held .. scope, id) end
  set(job, 'probe', scope)
  hold.probe_until, hold.probe_job = now + 2 * tonumber(ARGV[3]), id
  put_hold(scope, hold)
end

-- End a job that has expired, or has waited too long for a hold. A job that is being sent is checked again later. A job under
-- a person's hold does not give up.
local function end_one(job)
  local expires, give_up = tonumber(job.expires or ''), tonumber(job.give_up or '')
  if job.phase then expires = nil end -- it was sent; if it returns to its lane, settle.lua adds it to `deadlines` again
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

-- Release the next job of a new configuration when its first job is late. Delete a mark without jobs.
local function tend_cold(configuration)
  local mark, source = cold_mark(configuration), aside(configuration)
  if not mark then return end
  local late = mark.ends <= now or mark.ends > now + FIRST_MS -- the clock stepped back
  if mark.ends >= 0 and late then return next_first(configuration) end
  if mark.ends < 0 and redis.call('EXISTS', F.urgent .. source, F.ready .. source) == 0 then
    redis.call('HDEL', K.cold, configuration)
  end
end

-- Call tend(name) for the fields of a hash: for all, or for a part of a large hash; the next call continues there.
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
