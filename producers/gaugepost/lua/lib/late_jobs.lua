-- End jobs that have expired, or have waited too long for a hold.
-- WITH  transitions, holds, notices

-- End a job that is late. A job that is being sent is checked again later. A job under a person's hold does not give up.
local function end_late(job)
  local expires, give_up = tonumber(job.expires or ''), tonumber(job.give_up or '')
  if job.phase then expires = nil end -- it was sent; if it returns to its lane, outcomes.lua adds it to `deadlines` again
  if expires and expires <= now and finish(job, 'expired') then return end
  local hold = give_up and give_up <= now and job.scope and get_hold(job.scope)
  if hold and hold.verdict then
    notify({event = 'dead', job = job.id, verdict = hold.verdict, scope = job.scope})
    return finish_dead(job, hold.verdict)
  end
  if expires then redis.call('ZADD', K.deadlines, whole(expires > now and expires or now + 60000), job.id) end
end

-- End the next late jobs.
local function end_late_jobs()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', K.deadlines, '-inf', whole(now), 'LIMIT', 0, 200)) do
    redis.call('ZREM', K.deadlines, id)
    local job = load(id)
    if job and is_legal(job.state, 'cancelled') or job and job.state == 'sending' then end_late(job) end
  end
end
