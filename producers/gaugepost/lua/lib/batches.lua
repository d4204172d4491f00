-- Batches: jobs that were enqueued under one name. A job without a batch costs nothing here.
-- `batch:<name>` is a hash: total (jobs that were ever stored), stored (those that are not deleted), the number of jobs in each
-- state, dead:<verdict>, warnings; started and active (its last change), ms; ended_now and ended_before, jobs that ended since
-- since_now and between since_before and since_now; and its canary (canaries.lua).
-- `tallied` of a job is the state that its batch counts: a worker of an older version changes the state alone.
-- WITH  jobs, counters

local RATE_MS = 30000

local changes = {} -- batch -> name of a number -> by how much it changes
local function count_in(batch, name, by)
  local own = changes[batch] or {}
  changes[batch] = own
  own[name] = (own[name] or 0) + by
end

-- Count a change of a job's state, before it is written.
local function tally(job, to)
  count_in(job.batch, redis.call('HGET', job.key, 'tallied') or job.state, -1)
  count_in(job.batch, to, 1)
  set(job, 'tallied', to)
end

-- Count a new job.
local function tally_new(id, batch, state)
  for _, name in ipairs({'total', 'stored', state}) do count_in(batch, name, 1) end
  redis.call('HSET', F.job .. id, 'batch', batch, 'tallied', state)
end

-- Count a job that is deleted. Its state stays counted.
local function tally_deleted(batch, tallied, state)
  count_in(batch, tallied or state, -1)
  count_in(batch, state, 1)
  count_in(batch, 'stored', -1)
end

-- Count ended jobs for the rate.
local function count_ended(key, number)
  local since = tonumber(redis.call('HGET', key, 'since_now') or '0')
  if now - since > RATE_MS or since > now then
    local before = now - since < 2 * RATE_MS and redis.call('HGET', key, 'ended_now') or 0
    redis.call('HSET', key, 'since_before', whole(since), 'ended_before', before, 'since_now', whole(now), 'ended_now', 0)
  end
  redis.call('HINCRBY', key, 'ended_now', number)
end

-- Write the changes. A batch that was deleted meanwhile is not written again.
local function write_batches()
  for batch, own in pairs(changes) do
    local key = F.batch .. batch
    if redis.call('EXISTS', key) == 1 then
      for name, by in pairs(own) do
        if name == 'ended' then
          count_ended(key, by)
        elseif by ~= 0 then
          redis.call('HINCRBY', key, name, whole(by))
        end
      end
      redis.call('HSET', key, 'active', whole(now))
      redis.call('ZADD', K.batches, whole(now), batch)
    end
  end
end
