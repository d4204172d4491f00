-- Park jobs: until a time, or under a hold.
-- WITH  transitions

-- Park a job for a time.
local function park_until(job, reason, due)
  if not change_state(job, 'parked', 'reason', reason, 'until', due) then return false end
  count('parked:' .. reason, 1)
  redis.call('ZADD', K.parked, due, job.id)
  return true
end

-- Park a job under a hold. The time to give up starts at the first parking, and probes do not restart it.
local function park_held(job, scope, reason, give_up_ms)
  if not change_state(job, 'parked', 'reason', reason, 'scope', scope) then return false end
  count('parked:' .. reason, 1)
  redis.call('ZADD', F.held .. scope, job.at, job.id)
  if give_up_ms then
    job.give_up = job.give_up or whole(now + give_up_ms)
    set(job, 'give_up', job.give_up)
    redis.call('ZADD', K.deadlines, 'LT', job.give_up, job.id)
  end
  return true
end
