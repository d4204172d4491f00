-- The transitions that a worker settles: new state -> function(job, outcome), which returns whether the transition was legal.
-- `outcome`: settle.lua.
-- WITH  transitions, parking, notices, slow_start_answers, arrivals

local HAPPENED_MS = 30 * 86400000

-- Warn if a change of a case happened before another one that was delivered: CustomerGauge has them in the wrong order.
local function warn_of_order(job, outcome)
  local key = F.happened .. job.lane
  local newest = redis.call('GET', key)
  if not newest or outcome.happened >= newest then
    return redis.call('SET', key, outcome.happened, 'PX', HAPPENED_MS)
  end
  local warnings = cjson.decode(outcome.warnings or '[]')
  warnings[#warnings + 1] = 'happened_at is earlier than that of a change of this case that was delivered before'
  outcome.warnings = cjson.encode(warnings)
end

local transitions = {
  delivered = function(job, outcome)
    if not finish(job, 'delivered') then return false end
    if outcome.happened then warn_of_order(job, outcome) end
    if outcome.result then set(job, 'result', outcome.result) end
    if outcome.reference then arrive(job.at, to_bytes(job.id) .. '*' .. outcome.reference) end
    if outcome.warnings then set(job, 'warnings', outcome.warnings) end
    if outcome.warnings and job.batch then count_in(job.batch, 'warnings', 1) end
    return true
  end,

  parked = function(job, outcome)
    if outcome.scope then return park_held(job, outcome.scope, outcome.reason, outcome.give_up_ms) end
    if not park_until(job, outcome.reason, whole(now + outcome.delay_ms)) then return false end
    if outcome.phase then set(job, 'phase', outcome.phase) end
    if job.give_up then redis.call('HDEL', job.key, 'give_up') end -- it waits for something else now
    return true
  end,

  queued = function(job, outcome)
    if outcome.aside then return defer_returned(job, outcome.aside, outcome.first) end
    if outcome.resend then -- the file did not arrive: it will be sent again
      redis.call('HDEL', job.key, 'phase')
      job.phase = nil
      if job.expires then redis.call('ZADD', K.deadlines, job.expires, job.id) end
    end
    return requeue(job)
  end,

  dead = function(job, outcome)
    local verdict = outcome.verdict
    if verdict == 'unreadable' then -- no worker logs this otherwise
      notify({event = 'dead', job = job.id, verdict = verdict})
    end
    job.fields = outcome.fields
    return finish_dead(job, verdict)
  end,

  unknown = function(job, outcome)
    if not finish(job, 'unknown') then return false end
    set(job, 'reason', outcome.reason)
    return true
  end,
}
