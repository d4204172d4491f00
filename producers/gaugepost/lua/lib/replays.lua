-- Requeue dead or parked jobs for a person.
-- WITH  transitions, history, holds, release, index

-- Return why a job must not change; nil if it may. `held:` and `is:` are followed by the scope and by the state.
local function why_not_replayed(job, edit)
  if job.state ~= 'dead' and job.state ~= 'parked' then return 'is:' .. job.state end
  if job.erased then return 'erased' end
  if job.reason == 'scheduled' and (not edit or edit.due) then return 'scheduled' end
  local hold = job.state == 'parked' and job.scope and get_hold(job.scope)
  local other = edit and 'configuration:' .. edit.configuration
  local leaves_hold = other and string.sub(job.scope or '', 1, 14) == 'configuration:' and other ~= job.scope
  if hold and not leaves_hold then return 'held:' .. job.scope end
  local revision = edit and redis.call('HGET', job.key, 'revision') or '0'
  if edit and (revision ~= edit.revision or not is_whole(revision)) then return 'changed' end
  local expires = tonumber((edit or job).expires or '')
  if expires and expires <= now and not (job.phase and job.state == 'parked') then return 'expired' end
end

-- Write the edit of a job. A parked job leaves its lane if the edit changes the lane.
local function rewrite(job, edit)
  if job.state == 'parked' and job.lane ~= edit.lane then
    free_lane(job, job.state)
    job.left_lane = true
  end
  redis.call('HINCRBY', job.key, 'revision', 1)
  set(job, 'job', edit.job)
  index_job(forget_references(job.id) or pack_stamp(job.at), to_bytes(job.id), edit.references)
  for _, name in ipairs({'lane', 'urgent', 'once', 'expires', 'due'}) do
    job[name] = edit[name]
    if job[name] then set(job, name, job[name]) else redis.call('HDEL', job.key, name) end
  end
end

-- Requeue a job. It joins its case lane first if it is in none: because it was dead, or because the edit changed the lane.
local function rejoin(job)
  if job.reason == 'scheduled' and not job.left_lane then return release(job) end
  if job.state == 'dead' and job.phase then -- a file that will be sent again
    redis.call('HDEL', job.key, 'phase')
    job.phase = nil
  end
  if not job.lane or is_file(job) or (job.state ~= 'dead' and not job.left_lane) then return requeue(job) end
  local lane = F.lane .. job.lane
  local place = redis.call('HGET', job.key, 'enqueued') or job.at
  local head = redis.call('ZRANGE', lane, 0, 0)[1]
  local first = head and load(head)
  local rests = first and first.reason == 'scheduled' and tonumber(place) < tonumber(first.at) -- no job of the lane is out
  redis.call('ZADD', lane, place, job.id)
  if not first or rests then return requeue(job) end
  change_state(job, 'waiting')
  redis.call('ZADD', K.waiting, job.at, job.id)
  return true
end

-- Replay a job. Return nil if this call, or the one that it repeats, replayed it; else why not.
local function replay(job, edit, entry)
  if has_entry(job, entry) then return nil end
  local why = why_not_replayed(job, edit)
  if why then return why end
  if edit then rewrite(job, edit) end
  rejoin(job)
  add_to_history(job, entry)
  redis.call('HDEL', job.key, 'give_up')
  if job.expires then redis.call('ZADD', K.deadlines, job.expires, job.id) end
end
