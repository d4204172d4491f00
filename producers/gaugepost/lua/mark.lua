-- Note, just before the first byte, that a job is going out, so that a crash before it is known to be harmless and
-- a crash after it is known to be unknown. For a file it also takes its lane's upload slot, in the same moment:
-- never two starts within the interval, whatever dies. A repeated call (its answer was lost, and Redis may have been
-- away meanwhile) moves the slot on to now, since only now the first byte goes out; unless another file was claimed since:
-- then it must ask for the slot as any other. Refused if the lease is no longer ours.
-- WITH  jobs
-- KEYS  prefix
-- ARGV  id, fencing token, holder, upload interval in ms ('' = no file)
-- RETURN {1, 0}; {0, ms until the slot opens}; {-1, 0} if the job is not ours any more

even_when_full()
local job = load(ARGV[1])
local mine = is_held(job, ARGV[2], ARGV[3])
if not mine or tonumber(redis.call('ZSCORE', K.leases, job.id) or '0') <= now then return {-1, 0} end
if ARGV[4] ~= '' then
  local slot = K.slot .. ending(job.lane)
  local repeated = job.marked == job.fence and redis.call('GET', K.filing .. ending(job.lane)) == job.id
  local start = tonumber(redis.call('GET', slot) or '0')
  if start > now then -- Redis' clock stepped back: a whole interval from here, rather than one too short
    start = now
    redis.call('SET', slot, whole(now))
  end
  local wait = start + tonumber(ARGV[4]) - now
  if not repeated and start > 0 and wait > 0 then return {0, wait} end
  redis.call('SET', slot, whole(now))
end
set(job, 'marked', job.fence)
return {1, 0}
