-- The work of the tick `promote`: requeue jobs that are due and jobs of lifted holds, both at a rate that Redis' clock
-- limits, so that any number of beats may tick. Requeue the probe of each hold that is due. End jobs that have expired or
-- have waited too long for a hold. Release the next job of a configuration whose first job got no answer. Push bells where
-- there is work, which replaces lost bells. Each call does a bounded amount of work.
-- WITH  late_jobs, paced_requeue, holds, credentials, slow_start, leases, bells, canary_review
-- KEYS  prefix, queue, urgent queue
-- ARGV  due jobs a second, released jobs a second, lease in ms, due jobs of this call at most, how many holds (and new
--       configurations) to read, then need and fingerprint of each credential of the caller
-- RETURN how many jobs were released, 1 if more can be released now, notices for the log. If the answer is lost, its notices
--        are lost

-- A hold for a refused credential ends when the caller has another one that is not refused.
local mine = {}
for i = 6, #ARGV, 2 do mine['credentials:' .. ARGV[i]] = {need = ARGV[i], fingerprint = ARGV[i + 1]} end
local function is_about_another(scope, hold)
  local own = mine[scope]
  return own and hold.by == 'gaugepost' and hold.verdict == 'refused_credentials' and hold.fingerprint ~= own.fingerprint
    and not is_refused(own.need, own.fingerprint)
end

-- Lift a person's hold at its `until`. Requeue the probe of an automatic hold when it is due, unless the region is held.
local function check_hold(scope)
  local hold = get_hold(scope)
  if not hold then return end
  if hold['until'] and hold['until'] <= now then return lift_hold(scope, 'its end has come') end
  if is_about_another(scope, hold) then
    return lift_hold(scope, 'a worker has another credential'), forget_token_failures()
  end
  if not may_probe(hold) or redis.call('HEXISTS', K.holds, '') == 1 then return end
  local id = redis.call('ZRANGE', F.held .. scope, 0, 0)[1]
  local job = id and load(id)
  if not id then return lift_hold(scope, 'no job waits under it') end -- the next job of this scope shows whether it works
  if not job or not requeue(job) then return redis.call('ZREM', F.held .. scope, id) end
  set(job, 'probe', scope)
  hold.probe_until, hold.probe_job = now + 2 * tonumber(ARGV[3]), id
  put_hold(scope, hold)
end

-- Release the next job of a new configuration when its first job is late. Delete a slow start without jobs.
local function check_slow_start(configuration)
  local start, source = slow_start_of(configuration), deferred_source(configuration)
  if not start then return end
  local late = start.ends <= now or start.ends > now + FIRST_MS -- the clock stepped back
  if start.ends >= 0 and late then return next_first_job(configuration) end
  if start.ends < 0 and redis.call('EXISTS', F.urgent .. source, F.ready .. source) == 0 then
    redis.call('HDEL', K.cold, configuration)
  end
end

-- Call check(name) for the fields of a hash: for all, or for a part of a large hash; the next call continues there.
local function scan_some(name, hash, check)
  local found = redis.call('HSCAN', hash, redis.call('HGET', K.pace, name) or '0', 'COUNT', ARGV[5])
  for i = 1, #found[2], 2 do check(found[2][i]) end
  if found[1] == '0' then redis.call('HDEL', K.pace, name) else redis.call('HSET', K.pace, name, found[1]) end
end

allow_oom()
watch_clock(tonumber(ARGV[3]))
end_late_jobs()
scan_some('holds', K.holds, check_hold)
if any_slow_start then scan_some('cold', K.cold, check_slow_start) end
review_canaries()
local due, more = requeue_due(tonumber(ARGV[1]), tonumber(ARGV[4]))
local released = requeue_released(tonumber(ARGV[2]))
flush_new()

local region_hold = get_hold('')
if not region_hold or may_probe(region_hold) then ring_for_ready() end
return {due + released, more and 1 or 0, redis.call('LPOP', K.notices, 100) or {}}
