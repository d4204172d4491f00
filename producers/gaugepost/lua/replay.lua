-- Dead or parked jobs back to work, in the order they were enqueued: a job of a busy lane waits its turn there.
-- KEYS  prefix, queue, urgent queue
-- ARGV  bell, urgent bell, line for the record; then ids
-- RETURN for each id its state afterwards ('' = unknown id) and 1 if this call replayed it

local function rejoin(job)
  if job.state == 'dead' and job.phase then -- a file that is to be sent anew
    redis.call('HDEL', job.key, 'phase')
    job.phase = nil
  end
  if not job.lane or is_file(job) or job.state ~= 'dead' then return requeue(job) end
  local lane = K.lane .. job.lane
  local busy = redis.call('ZCARD', lane) > 0
  redis.call('ZADD', lane, job.at, job.id)
  if not busy then return requeue(job) end
  move(job, 'waiting')
  redis.call('ZADD', K.waiting, job.at, job.id)
  return true
end

local out = {}
for i = 4, #ARGV do
  local job = load(ARGV[i])
  local done = job and (job.state == 'dead' or job.state == 'parked') and rejoin(job)
  if done then
    note(job, ARGV[3])
    redis.call('HDEL', job.key, 'give_up')
    if job.expires then redis.call('ZADD', K.deadlines, job.expires, job.id) end
  end
  out[#out + 1] = job and job.state or ''
  out[#out + 1] = done and 1 or 0
end
flush()
ring_for_ready(ARGV[1], ARGV[2])
return out
