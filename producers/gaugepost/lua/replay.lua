-- Requeue dead or parked jobs in the order of their stamps. A job of a busy lane waits in it. The script also writes an edit of
-- the job, so that no worker claims half an edit. If the edit changes the lane, the next job of the old lane becomes ready,
-- and the job joins the new lane at its stamp.
-- A job does not change if it is scheduled (only an edit without deliver_at sends it now), if an open hold keeps it
-- (`resume` releases it), if it has expired (it would expire again, for good),
-- or if another person edited it since it was read.
-- WITH  transitions, history, holds, bells, release, index
-- KEYS  prefix, queue, urgent queue
-- ARGV  history entry, by which a repeated call recognises its own work; then for each job its id and its edit ('' = none) as
--       JSON of texts: job, revision (the one that was read), configuration, references (their hashes), and those it has of lane,
--       urgent, once, expires, due
-- RETURN for each job its new state ('' = unknown id) and 1 if this call replayed it

-- Return whether a job must not change: see above.
local function must_stay(job, edit)
  if job.reason == 'scheduled' and (not edit or edit.due) then return true end
  local hold = job.state == 'parked' and job.scope and get_hold(job.scope)
  local other = edit and 'configuration:' .. edit.configuration
  local leaves_hold = other and string.sub(job.scope or '', 1, 14) == 'configuration:' and other ~= job.scope
  if hold and not leaves_hold then return true end
  local revision = edit and redis.call('HGET', job.key, 'revision') or '0'
  if edit and (revision ~= edit.revision or not is_whole(revision)) then return true end
  local expires = tonumber((edit or job).expires or '')
  return expires and expires <= now and not (job.phase and job.state == 'parked')
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

-- Replay a job. Return whether this call, or the one that it repeats, replayed it.
local function replay(job, edit)
  if job.history and string.find(job.history, ARGV[1], 1, true) then return true end -- a repeated call: its answer was lost
  if job.state ~= 'dead' and job.state ~= 'parked' or must_stay(job, edit) then return false end
  if edit then rewrite(job, edit) end
  rejoin(job)
  add_to_history(job, ARGV[1])
  redis.call('HDEL', job.key, 'give_up')
  if job.expires then redis.call('ZADD', K.deadlines, job.expires, job.id) end
  return true
end

allow_oom()
local out = {}
for i = 2, #ARGV, 2 do
  local job = load(ARGV[i])
  local done = job and replay(job, ARGV[i + 1] ~= '' and cjson.decode(ARGV[i + 1]))
  out[#out + 1] = job and job.state or ''
  out[#out + 1] = done and 1 or 0
end
write_ready()
flush_index()
flush_new()
ring_for_ready()
return out
