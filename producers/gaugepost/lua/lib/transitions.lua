-- Change the states of jobs.
-- WITH  jobs, counters, upload_lanes, contents, scheduled, batch_members, job_events

-- Return whether a job may change from one state to the other (states.py).
local function is_legal(from, to) return string.find(LEGAL, ' ' .. from .. '>' .. to .. ' ', 1, true) end

-- Remove a parked job from the set in which it waits: for its hold, its deliver_at, or its next attempt.
local function remove_from_parked(job)
  if job.scope then return redis.call('ZREM', F.held .. job.scope, job.id) end
  if job.reason == 'scheduled' then return redis.call('ZREM', K.scheduled, scheduled_member(job.at, job.id)) end
  redis.call('ZREM', K.parked, job.id)
end

-- Remove a job from the lists and sets of its state.
local function remove_from_lists(job)
  local state = job.state
  count(state, -1)
  if state == 'queued' then
    if not job.popped then redis.call('ZREM', K.again, job.id) end -- its id stays in the ready list, where claim.lua skips it
  elseif state == 'waiting' then
    redis.call('ZREM', K.waiting, job.id)
    if is_file(job) then redis.call('ZREM', K.files .. lane_suffix(job.lane), job.id) end
  elseif state == 'sending' then
    redis.call('ZREM', K.leases, job.id)
    redis.call('HDEL', job.key, 'holder', 'probe', 'spared')
  elseif state == 'parked' then
    count('parked:' .. job.reason, -1)
    remove_from_parked(job)
    redis.call('HDEL', job.key, 'reason', 'scope', 'until')
    job.reason, job.scope = nil, nil
  else
    redis.call('ZREM', K[state], job.id)
    if state == 'dead' then count('dead:' .. job.verdict, -1) end
    if job.batch then leave_ended(job) end
    redis.call('HDEL', job.key, 'ended', 'verdict', 'reason')
  end
end

-- Change a job's state if that is legal, and write further pairs of field and value. The caller adds the job to the lists and
-- sets of the new state.
local function change_state(job, to, ...)
  if not is_legal(job.state, to) then return false end
  remove_from_lists(job)
  if job.batch then tally(job, to) end
  job.state = to
  count(to, 1)
  set(job, 'state', to, ...)
  return true
end

-- Requeue a job that is no waiting file: `again` has urgent jobs before all others.
local function add_to_again(job)
  redis.call('ZADD', K.again, job.urgent and whole(job.at - 1e16) or job.at, job.id)
end

-- Requeue a job in the order of stamps: a file in its lane, any other job in `again`.
local function requeue(job)
  local to = is_file(job) and not job.phase and 'waiting' or 'queued'
  if not change_state(job, to) then return false end
  if to == 'waiting' then
    redis.call('ZADD', K.waiting, job.at, job.id)
    redis.call('ZADD', K.files .. lane_suffix(job.lane), lane_score(job), job.id)
  else
    add_to_again(job)
  end
  return true
end

-- Remove an ended job from its case lane, and requeue the next job of the lane, unless the ended job was itself waiting.
local function free_lane(job, was)
  if not job.lane or is_file(job) then return end
  local lane = F.lane .. job.lane
  redis.call('ZREM', lane, job.id)
  if was == 'waiting' then return end
  local head = redis.call('ZRANGE', lane, 0, 0)[1]
  local follower = head and load(head)
  if follower and follower.state == 'waiting' then requeue(follower) end
end

-- End a job: move it to `delivered`, `dead`, `cancelled`, `expired` or `unknown`, each a sorted set of this name.
local function finish(job, to)
  local was = job.state
  if not change_state(job, to, 'ended', whole(now)) then return false end
  redis.call('ZADD', K[to], whole(now), job.id)
  if job.expires or job.give_up then redis.call('ZREM', K.deadlines, job.id) end
  if to ~= 'unknown' then free_lane(job, was) end
  if is_file(job) then
    keep_content(job, to)
    note_file_ended(job)
  end
  if job.batch then note_end(job) end
  note_ended(job, to)
  return true
end

-- End a job as dead, by a verdict.
local function finish_dead(job, verdict)
  if not finish(job, 'dead') then return false end
  set(job, 'verdict', verdict)
  count('dead:' .. verdict, 1)
  if job.batch then count_in(job.batch, 'dead:' .. verdict, 1) end
  return true
end
