-- Record the outcomes of claimed jobs: one transition for each. Refused for a job with another fencing token or holder, so that
-- a worker that lost its lease changes nothing. A repeated call returns the same answers.
-- WITH  jobs, holds, causes, sorts, streaks, slow_start
-- KEYS  prefix, queue, urgent queue
-- ARGV  '1' if the rescuer calls (then only jobs whose lease has ended); then for each job JSON:
--       id, fence, holder, to (new state), entry (for its history);
--       as `to` needs them: result, warnings, delay_ms, reason, phase, resend, scope, give_up_ms, verdict, happened (when a
--       case's change happened), aside (its configuration) and first (the first job of that configuration);
--       for holds: hold, streak, ends (names of streaks), age_ms (how long ago the request began), sort (kind and
--       configuration), request (that failed: causes.lua), probe (scope), answered (an answer came), warm (a configuration
--       that has delivered)
-- RETURN for each job 1, or 0 if it was refused

even_when_full()

local HAPPENED_MS = 30 * 86400000
local WARM_MS = 3600000

-- Warn if a change of a case happened before another one that was delivered: CustomerGauge has them in the wrong order.
local function warn_of_order(job, ask)
  local key = F.happened .. job.lane
  local newest = redis.call('GET', key)
  if not newest or ask.happened >= newest then return redis.call('SET', key, ask.happened, 'PX', HAPPENED_MS) end
  local warnings = cjson.decode(ask.warnings or '[]')
  warnings[#warnings + 1] = 'happened_at is earlier than that of a change of this case that was delivered before'
  ask.warnings = cjson.encode(warnings)
end

local function carry_out(job, ask)
  if ask.to == 'delivered' then
    if not finish(job, 'delivered') then return false end
    if ask.happened then warn_of_order(job, ask) end
    if ask.result then set(job, 'result', ask.result) end
    if ask.warnings then set(job, 'warnings', ask.warnings) end
  elseif ask.to == 'parked' and ask.scope then
    return park_held(job, ask.scope, ask.reason, ask.give_up_ms)
  elseif ask.to == 'parked' then
    if not move(job, 'parked') then return false end
    set(job, 'reason', ask.reason, 'until', whole(now + ask.delay_ms))
    if ask.phase then set(job, 'phase', ask.phase) end
    count('parked:' .. ask.reason, 1)
    if job.give_up then redis.call('HDEL', job.key, 'give_up') end -- it waits for something else now
    redis.call('ZADD', K.parked, whole(now + ask.delay_ms), job.id)
  elseif ask.to == 'queued' and ask.aside then
    return wait_aside(job, ask.aside, ask.first)
  elseif ask.to == 'queued' then
    if ask.resend then -- the file did not arrive: it will be sent again
      redis.call('HDEL', job.key, 'phase')
      job.phase = nil
      if job.expires then redis.call('ZADD', K.deadlines, job.expires, job.id) end
    end
    return requeue(job)
  elseif ask.to == 'dead' then
    if ask.verdict == 'unreadable' then notify({event = 'dead', job = job.id, verdict = ask.verdict}) end -- no worker logs this otherwise
    return bury(job, ask.verdict)
  elseif ask.to == 'unknown' then
    if not finish(job, 'unknown') then return false end
    set(job, 'reason', ask.reason)
  else
    return false
  end
  return true
end

-- End the probe of a hold. If it failed by the verdict of the hold, schedule the next probe later. If it got no answer or was
-- returned unsent, schedule the next probe. Any other answer lifts the hold.
local function end_probe(ask, job)
  local scope = ask.probe
  local hold = get_hold(scope)
  if not hold or hold.probe_job ~= job.id then return end
  local spec = ask.hold or ask.streak and ask.streak.hold
  local failed = spec and spec.scope == scope and spec.verdict == hold.verdict
  if failed then
    hold.step = math.min(hold.step + 1, #hold.probe_ms)
    hold.probe_at = now + math.max(hold.probe_ms[hold.step], spec.probe_ms[1])
    hold.fingerprint = spec.fingerprint
    if hold.verdict == 'throttled' then halve_concurrency() end
  elseif not ask.answered then
    hold.probe_at = now + hold.probe_ms[hold.step]
  else
    return lift(scope, 'the probe, job ' .. job.id .. ', was answered')
  end
  if hold.verdict == 'server_error' and ask.entry then note_probe(hold, job, ask.sort or sort_of(job)) end
  hold.probe_until, hold.probe_job = nil, nil
  failed = failed or ask.entry
  if failed then note_failure(hold, ask.request) end
  put_hold(scope, hold)
  if failed then notify_hold('moved', scope) end
end

-- Count failures, except under an open hold: their requests began before it opened, or are its probes.
local some_streak = redis.call('HLEN', K.failures) > 0
local function count_streaks(ask, job)
  if some_streak and ask.ends then redis.call('HDEL', K.failures, unpack(ask.ends)) end
  local streak = ask.streak
  if not streak or redis.call('HEXISTS', K.holds, streak.hold.scope) == 1 then return end
  some_streak = true
  if completes(streak, ask.age_ms or 0, job, ask.sort, ask.request) then
    open_hold(streak.hold, job, streak.hold.opened)
  end
end

-- Return whether this is a repeated call: the history ends with the same entry.
local function was_done(job, ask)
  return job and ask.entry and tonumber(job.fence) == ask.fence and string.sub(job.history or '', -#ask.entry - 1, -2) == ask.entry
end

local done, delivered = {}, 0
for i = 2, #ARGV do
  local ask = cjson.decode(ARGV[i])
  local job = load(ask.id)
  local mine = is_held(job, ask.fence, ask.holder)
  if mine and ARGV[1] == '1' then mine = tonumber(redis.call('ZSCORE', K.leases, job.id) or '0') <= now end
  local uploaded = mine and is_file(job) and not job.phase and job.marked == job.fence
  local applied = mine and carry_out(job, ask)
  -- CustomerGauge measures from arrival, and an upload may take long: count the interval from its answer.
  if applied and uploaded then redis.call('SET', K.slot .. ending(job.lane), whole(now)) end
  if applied then
    ask.request = ask.request and failed_request(ask.request, job)
    if ask.entry then note(job, ask.entry) end
    if ask.probe then end_probe(ask, job) end
    if ask.hold then open_hold(ask.hold, job, ask.request and add_request({}, ask.request)) end
    if ask.scope and not get_hold(ask.scope) then lift(ask.scope) end -- parked under a hold that was lifted meanwhile: release it
    count_streaks(ask, job)
    if ask.warm then redis.call('SET', F.warm .. ask.warm, '', 'PX', WARM_MS) end
    if some_cold and not ask.aside then note_answer(job, ask.to == 'delivered') end
  end
  if applied and ask.to == 'delivered' then delivered = delivered + 1 end
  done[#done + 1] = (applied or was_done(job, ask)) and 1 or 0
end
push_aside()
if delivered > 0 then grow_concurrency(delivered) end
flush()
if not get_hold('') then
  ring(KEYS[3], urgent_jobs())
  if not awake() then ring(KEYS[2], ready_jobs()) end
end
return done
