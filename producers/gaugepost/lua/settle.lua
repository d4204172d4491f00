-- Carry out what became of claimed jobs: one transition each, many at a time. Refused for a job that is no longer
-- held under this fencing token, so that a worker that lost its lease changes nothing.
-- KEYS  prefix, queue, urgent queue
-- ARGV  '1' if called by the rescuer (then only jobs whose lease has ended), bell, urgent bell; then for each job
--       JSON: id, fence, to, entry (line for its record), and as `to` needs them: result, warnings, delay_ms, reason,
--       phase, resend, scope, give_up_ms, verdict; then hold, streak, ends (streaks), probe (scope), answered (an answer came)
-- RETURN for each job 1, or 0 if it was refused

local function carry_out(job, ask)
  if ask.to == 'delivered' then
    if not finish(job, 'delivered') then return false end
    if ask.result then set(job, 'result', ask.result) end
    if ask.warnings then set(job, 'warnings', ask.warnings) end
  elseif ask.to == 'parked' and ask.scope then
    return park_held(job, ask.scope, ask.reason, ask.give_up_ms)
  elseif ask.to == 'parked' then
    if not move(job, 'parked') then return false end
    set(job, 'reason', ask.reason, 'until', whole(now + ask.delay_ms))
    if ask.phase then set(job, 'phase', ask.phase) end
    count('parked:' .. ask.reason, 1)
    if job.give_up then redis.call('HDEL', job.key, 'give_up') end -- it was something else, then
    redis.call('ZADD', K.parked, whole(now + ask.delay_ms), job.id)
  elseif ask.to == 'queued' then
    if ask.resend then -- it is not there: to be sent after all
      redis.call('HDEL', job.key, 'phase')
      job.phase = nil
      if job.expires then redis.call('ZADD', K.deadlines, job.expires, job.id) end
    end
    return requeue(job)
  elseif ask.to == 'dead' then
    return bury(job, ask.verdict)
  elseif ask.to == 'unknown' then
    if not finish(job, 'unknown') then return false end
    set(job, 'reason', ask.reason)
  else
    return false
  end
  return true
end

-- Its own failure moves a hold's probe on; no answer leaves it to be tried again, and so does a probe that was given back
-- unsent; any other answer lifts it.
local function end_probe(ask, job)
  local scope = ask.probe
  local hold = get_hold(scope)
  if not hold or hold.probe_job ~= job.id then return end
  local spec = ask.hold
  if spec and spec.scope == scope and spec.verdict == hold.verdict then
    hold.step = math.min(hold.step + 1, #hold.probe_ms)
    hold.probe_at = now + math.max(hold.probe_ms[hold.step], spec.probe_ms[1])
  elseif not ask.answered then
    hold.probe_at = now + hold.probe_ms[hold.step]
  else
    return lift(scope)
  end
  hold.probe_until, hold.probe_job = nil, nil
  put_hold(scope, hold)
end

local function count_streaks(ask, job)
  for _, name in ipairs(ask.ends or {}) do redis.call('HDEL', K.streaks, name) end
  local streak = ask.streak
  if streak and redis.call('HINCRBY', K.streaks, streak.name, 1) >= streak.limit then
    redis.call('HDEL', K.streaks, streak.name)
    open_hold(streak.hold, job)
  end
end

local done = {}
for i = 4, #ARGV do
  local ask = cjson.decode(ARGV[i])
  local job = load(ask.id)
  local mine = job and job.state == 'sending' and tonumber(job.fence) == ask.fence
  if mine and ARGV[1] == '1' then mine = tonumber(redis.call('ZSCORE', K.leases, job.id) or '0') <= now end
  if mine and ask.give_up_ms and ask.hold then ask.hold.give_up_ms = ask.give_up_ms end
  local applied = mine and carry_out(job, ask)
  if applied then
    if ask.entry then note(job, ask.entry) end
    if ask.probe then end_probe(ask, job) end
    if ask.hold then open_hold(ask.hold, job) end
    if ask.scope and not get_hold(ask.scope) then lift(ask.scope) end -- parked, and nobody to let it go
    count_streaks(ask, job)
  end
  done[#done + 1] = applied and 1 or 0
end
flush()
if not get_hold('') then ring_for_ready(ARGV[2], ARGV[3]) end
return done
