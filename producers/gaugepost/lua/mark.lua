-- Write the sending mark of a job, just before its first byte. A crash before the mark is harmless: the job is sent again. After
-- the mark it is not known whether the job was sent. For a file the script also takes the upload slot in the same step, so
-- that two uploads never start within the interval, whichever process dies. A repeated call (its answer was lost) moves the
-- slot to now, because the first byte is sent only now; but if another file was claimed meanwhile, this one must wait for the
-- slot again. Refused if the worker has lost its lease.
-- WITH  jobs, upload_lanes
-- KEYS  prefix
-- ARGV  id, fencing token, holder, upload interval in ms ('' = no file)
-- RETURN {1, 0}; {0, ms until the slot opens}; {-1, 0} if the lease is lost

allow_oom()
local job = load(ARGV[1])
local mine = is_held(job, ARGV[2], ARGV[3])
if not mine or tonumber(redis.call('ZSCORE', K.leases, job.id) or '0') <= now then return {-1, 0} end
if ARGV[4] ~= '' then
  local slot = K.slot .. lane_suffix(job.lane)
  local repeated = job.marked == job.fence and redis.call('GET', K.filing .. lane_suffix(job.lane)) == job.id
  local start = tonumber(redis.call('GET', slot) or '0')
  if start > now then -- Redis' clock stepped back: wait a whole interval from now, which is safe
    start = now
    redis.call('SET', slot, whole(now))
  end
  local wait = start + tonumber(ARGV[4]) - now
  if not repeated and start > 0 and wait > 0 then return {0, wait} end
  redis.call('SET', slot, whole(now))
end
set(job, 'marked', job.fence)
return {1, 0}
