-- Claim jobs for a worker, each under a lease, a fencing token and a holder (the token of this call). Atomic, so that no two
-- workers claim the same job.
-- Order: the upload slot's next file, if the slot is open; then ready jobs (lib/ready_order.lua). A held region gives only its
-- probe, when that is due. A throttled region gives no more than its concurrency allows. A job under a hold on its
-- configuration, endpoints or credentials is parked. A job whose configuration waits for its first answer is deferred. Bells
-- are pushed for the jobs that are left. Large jobs count more, so that the script stays short.
-- WITH  claimed_jobs, breaker_probe, slow_start_filter, upload_slots, bells
-- KEYS  prefix, queue, urgent queue
-- ARGV  worker, token of this call, how many jobs at most, lease in ms, upload interval in ms, how many jobs the worker sends
--       at a time, '1' = urgent jobs only, then the upload lanes
-- RETURN number of ready jobs that are left ('0' under a hold); then for each job: id, fencing token, stamp, JSON, history,
--        '*' .. scope if it is the probe of that hold, verdict of that hold, phase. A repeated call returns the same jobs.

local worker, token, limit, lease = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local urgent_only = ARGV[7] == '1'

local function jobs_left() return whole(urgent_jobs() + (urgent_only and 0 or ready_jobs())) end

allow_oom()
redis.call('HSET', K.workers, worker, ARGV[6] .. ':' .. whole(now + 2 * lease))
if repeat_claim(worker, token, lease) then
  if not get_hold('') then reply[1] = jobs_left() end
  return reply
end

-- Claim ready jobs until the limit is reached. The number of tries is limited too, because skipped and parked jobs take time.
local tries, requeued = limit * 10, {left = math.ceil(limit / 2)}
local function claim_ready(region_hold)
  while #claims < limit and tries > 0 and budget > 0 do
    local ids, from = next_ids(limit - #claims, urgent_only, requeued)
    if #ids == 0 then return end
    tries = tries - #ids
    for _, id in ipairs(without_deferred(ids, from)) do
      local job = load(id)
      if job and job.state == 'queued' then
        if budget > 0 then
          job.popped = not job.fence -- a job that was claimed before may be in `again` too
          claim_or_park(job, token, lease, region_hold)
        else
          add_to_again(job)
        end
      end
    end
  end
end

-- Return the files that can be sent now, one of each lane at most.
local function next_files()
  local files = {}
  for i = 8, #ARGV do files[#files + 1] = next_file(ARGV[i], ARGV[5]) or nil end
  return files
end

local function claim_files(region_hold)
  for _, file in ipairs(next_files()) do
    if #claims < limit then claim_or_park(file, token, lease, region_hold) end
  end
end

-- Claim the probe of a held region. For a circuit breaker choose a job; for other holds take the job that opened the hold.
local CHOICES = 8 -- tries, because a chosen job may have expired, or another hold may stop it
local function claim_probe(region_hold)
  limit = 1
  if region_hold.verdict == 'server_error' then
    for _ = 1, CHOICES do
      local job = #claims == 0 and choose_probe(region_hold, urgent_only, urgent_only and {} or next_files())
      if job then claim_or_park(job, token, lease, region_hold) end
    end
  else
    local opener = region_hold.job and load(region_hold.job)
    if opener and opener.state == 'queued' then claim_or_park(opener, token, lease, region_hold) end
  end
  claim_ready(region_hold)
  claim_files(region_hold)
end

local region_hold = get_hold('')
if region_hold and region_hold['until'] and region_hold['until'] <= now then
  lift_hold('', 'its end has come')
  region_hold = nil
end
if region_hold then
  if not may_probe(region_hold) then return reply end
  claim_probe(region_hold)
else
  local concurrency = redis.call('HGET', K.concurrency, 'limit')
  if concurrency then limit = math.min(limit, concurrency - redis.call('ZCARD', K.leases)) end
  if limit < 1 then return reply end -- settle.lua pushes a bell when a job has ended
  if not urgent_only then claim_files() end
  claim_ready()
  reply[1] = jobs_left()
end

keep_claims(worker, token, lease)
flush()
if #claims > 0 then redis.call('HSET', K.pace, 'awake', whole(now)) else redis.call('HDEL', K.pace, 'awake') end
if not region_hold and not is_recent('woke', WAKE_MORE_MS) then
  ring_for_ready()
  redis.call('HSET', K.pace, 'woke', whole(now))
end
return reply
