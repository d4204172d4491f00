-- What follows for a batch when its jobs are stored, end and are deleted.
-- WITH  canaries

-- Lift the hold of a batch that has no open job. Its next job opens it again.
local function lift_if_done(batch)
  local scope = scope_of(batch)
  if get_hold(scope) and is_done(batch) then lift_hold(scope, 'no job of the batch waits') end
end

-- Delete a batch without jobs.
local function forget_batch(batch)
  lift_hold(scope_of(batch), 'the batch was deleted')
  redis.call('UNLINK', F.batch .. batch, F.canary .. batch)
  redis.call('ZREM', K.batches, batch)
  redis.call('SREM', K.canaries, batch)
end

-- Delete a batch if no job of it is open. An open one belongs to a newer batch of the same name, if the older was deleted before
-- its jobs.
local function forget_if_done(batch)
  local done = is_done(batch)
  if done then forget_batch(batch) end
  return done
end

-- Delete a batch without change for long, whose jobs a worker of an older version has deleted. If it is not done, look at it again
-- later: it must not keep its place before others.
local function forget_stale(batch)
  if not forget_if_done(batch) then redis.call('ZADD', K.batches, whole(now), batch) end
end

-- Write the event of a batch of which no job is open.
local ENDS = {'total', 'delivered', 'dead', 'unknown', 'cancelled', 'expired'}
local function note_if_done(batch)
  if not is_wanted('batch.finished', '') or not is_done(batch) then return end
  local data = {batch = batch}
  for i, number in ipairs(redis.call('HMGET', F.batch .. batch, unpack(ENDS))) do data[ENDS[i]] = tonumber(number or '0') end
  emit('batch.finished', '', data)
end

local moved = {} -- jobs of batches that have ended, or will be sent again
local function note_end(job)
  moved[#moved + 1] = job
  count_in(job.batch, 'ended', 1)
end

-- Note that an ended job gets another state: it is replayed, or an unknown job is resolved.
local function leave_ended(job)
  if job.state == 'dead' then count_in(job.batch, 'dead:' .. job.verdict, -1) end
  moved[#moved + 1] = job
end

-- Record what has happened to members of canaries, and decide. Runs when the script has written all else.
before_flush[#before_flush + 1] = function()
  local canaries = {}
  for _, job in ipairs(moved) do
    if record(job.batch, job.id, job.fields) then canaries[job.batch] = true end
  end
  moved = {}
  write_batches()
  for batch in pairs(canaries) do decide(batch) end
  for batch, own in pairs(changes) do
    if own.ended then
      lift_if_done(batch)
      note_if_done(batch)
    end
    if own.stored and tonumber(redis.call('HGET', F.batch .. batch, 'stored') or '1') <= 0 then forget_if_done(batch) end
  end
  changes = {}
end
