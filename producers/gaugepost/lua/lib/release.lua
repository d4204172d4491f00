-- Release jobs that waited for their deliver_at.
-- WITH  transitions, new_jobs

-- Give a job that is due a stamp of now, so that it is as old and as far behind as a job that is enqueued now. Only in its
-- case lane it keeps its place. `enqueued` keeps the first stamp.
local function restamp(job)
  redis.call('ZREM', K.scheduled, scheduled_member(job.at, job.id))
  set(job, 'enqueued', job.at)
  job.at = next_stamp()
  set(job, 'at', job.at)
end

-- Put a job that is due into its upload lane, behind the earlier changes of its case, or at the end of its source's list.
local function release(job)
  restamp(job)
  if is_file(job) then return requeue(job) end
  if job.lane and redis.call('ZRANGE', F.lane .. job.lane, 0, 0)[1] ~= job.id then
    if not change_state(job, 'waiting') then return false end
    redis.call('ZADD', K.waiting, job.at, job.id)
    return true
  end
  if not change_state(job, 'queued') then return false end
  add_ready(job.id, job.urgent, redis.call('HGET', job.key, 'source') or '')
  return true
end

-- Release the job of a member of `scheduled`, or remove a member whose job was changed by an older version.
local function release_member(member)
  local job = load(string.match(member, ':(.*)$'))
  if not (job and job.state == 'parked' and job.reason == 'scheduled' and release(job)) then
    redis.call('ZREM', K.scheduled, member)
  end
end
