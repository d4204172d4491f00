-- Note, just before the first byte, that a job is going out, so that a crash before it is known to be harmless and
-- a crash after it is known to be unknown. For a file it also takes its lane's upload slot, in the same moment:
-- never two starts within the interval, whatever dies. Refused if the lease is no longer ours.
-- KEYS  prefix
-- ARGV  id, fencing token, upload interval in ms ('' = no file)
-- RETURN {1, 0}; {0, ms until the slot opens}; {-1, 0} if the job is not ours any more

even_when_full()
local job = load(ARGV[1])
local mine = job and job.state == 'sending' and job.fence == ARGV[2]
if not mine or tonumber(redis.call('ZSCORE', K.leases, job.id) or '0') <= now then return {-1, 0} end
if ARGV[3] ~= '' and job.marked ~= job.fence then
  local slot = K.slot .. ending(job.lane)
  local start = tonumber(redis.call('GET', slot) or '0')
  if start > now then -- Redis' clock stepped back: a whole interval from here, rather than one too short
    start = now
    redis.call('SET', slot, whole(now))
  end
  local wait = start + tonumber(ARGV[3]) - now
  if start > 0 and wait > 0 then return {0, wait} end
  redis.call('SET', slot, whole(now))
end
set(job, 'marked', job.fence)
return {1, 0}
