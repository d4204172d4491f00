-- Dead or parked jobs back to work, in the order they were enqueued: a job of a busy lane waits its turn there. An edited
-- job is written anew in the same moment and changes its lane if the edit says so, so that nobody claims half an edit:
-- the old lane goes on, the new one is joined at the job's place by its stamp. Three stay as they are: what a standing
-- hold keeps (it would only meet it again: `resume` lets it go), what has expired (it would only expire, and for good),
-- and what somebody else edited since it was read.
-- WITH  jobs, holds
-- KEYS  prefix, queue, urgent queue
-- ARGV  line for the record, by which a repeated call knows its own work; then for each job its id
--       and its edit ('' = none) as JSON, all texts: job, revision (the one that was read), configuration, and of lane,
--       urgent, once and expires what it has
-- RETURN for each job its state afterwards ('' = unknown id) and 1 if this call replayed it

local function stays(job, edit)
  local hold = job.state == 'parked' and job.scope and get_hold(job.scope)
  local other = edit and 'configuration:' .. edit.configuration
  local leads_out = other and string.sub(job.scope or '', 1, 14) == 'configuration:' and other ~= job.scope
  if hold and not leads_out then return true end
  local revision = edit and redis.call('HGET', job.key, 'revision') or '0'
  if edit and (revision ~= edit.revision or not is_whole(revision)) then return true end
  local expires = tonumber((edit or job).expires or '')
  return expires and expires <= now and not (job.phase and job.state == 'parked')
end

local function rewrite(job, edit)
  if job.state == 'parked' and job.lane ~= edit.lane then
    free_lane(job, job.state)
    job.homeless = true
  end
  redis.call('HINCRBY', job.key, 'revision', 1)
  set(job, 'job', edit.job)
  for _, name in ipairs({'lane', 'urgent', 'once', 'expires'}) do
    job[name] = edit[name]
    if job[name] then set(job, name, job[name]) else redis.call('HDEL', job.key, name) end
  end
end

local function rejoin(job)
  if job.state == 'dead' and job.phase then -- a file that is to be sent anew
    redis.call('HDEL', job.key, 'phase')
    job.phase = nil
  end
  if not job.lane or is_file(job) or (job.state ~= 'dead' and not job.homeless) then return requeue(job) end
  local lane = F.lane .. job.lane
  local busy = redis.call('ZCARD', lane) > 0
  redis.call('ZADD', lane, job.at, job.id)
  if not busy then return requeue(job) end
  move(job, 'waiting')
  redis.call('ZADD', K.waiting, job.at, job.id)
  return true
end

local function replay(job, edit)
  if job.history and string.find(job.history, ARGV[1], 1, true) then return true end -- the call before: its answer was lost
  if job.state ~= 'dead' and job.state ~= 'parked' or stays(job, edit) then return false end
  if edit then rewrite(job, edit) end
  rejoin(job)
  note(job, ARGV[1])
  redis.call('HDEL', job.key, 'give_up')
  if job.expires then redis.call('ZADD', K.deadlines, job.expires, job.id) end
  return true
end

local out = {}
for i = 2, #ARGV, 2 do
  local job = load(ARGV[i])
  local done = job and replay(job, ARGV[i + 1] ~= '' and cjson.decode(ARGV[i + 1]))
  out[#out + 1] = job and job.state or ''
  out[#out + 1] = done and 1 or 0
end
flush()
ring_for_ready()
return out
