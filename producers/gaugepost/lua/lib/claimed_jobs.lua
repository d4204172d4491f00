-- Claim one job, and repeat the claims of a call whose answer was lost.
-- WITH  jobs, upload_lanes, transitions, holds, parking, unreadable

local reply, claims = {'0'}, {} -- the values that claim.lua returns, and a record of each job that it claimed

-- Add a claimed job to the reply.
local function add_to_reply(job, claim)
  local json = redis.call('HGET', job.key, 'job') or ''
  spend(json)
  for _, value in ipairs({job.id, claim.fence, job.at, json, job.history or '', claim.probe, claim.verdict, job.phase or ''}) do
    reply[#reply + 1] = value
  end
end

-- Store which jobs a call claimed, for repeat_claim.
local function keep_claims(worker, token, lease)
  redis.call('SET', F.claim .. worker, cjson.encode({token = token, jobs = claims}), 'PX', whole(lease))
end

-- Return whether this is a repeated call: redis-py repeats a command whose answer was lost. Then renew the leases of the jobs
-- that the first call claimed, and add them to the reply.
local function repeat_claim(worker, token, lease)
  local last = redis.call('GET', F.claim .. worker)
  last = last and cjson.decode(last)
  if not last or last.token ~= token then return false end
  for _, claim in ipairs(last.jobs) do
    local job = load(claim.id)
    if is_held(job, claim.fence, token) then
      redis.call('ZADD', K.leases, whole(now + lease), job.id)
      add_to_reply(job, claim)
    end
  end
  redis.call('PEXPIRE', F.claim .. worker, whole(lease))
  return true
end

-- Claim a job. `scope` and `hold`: the hold whose probe it is, if any.
local function claim(job, token, lease, scope, hold)
  if not change_state(job, 'sending', 'holder', token) then return end
  local made = {id = job.id, fence = whole(redis.call('HINCRBY', job.key, 'fence', 1)), probe = '', verdict = ''}
  redis.call('ZADD', K.leases, whole(now + lease), job.id)
  if is_file(job) and not job.phase then redis.call('SET', K.filing .. lane_suffix(job.lane), job.id) end
  if scope then
    hold.probe_until, hold.probe_job = now + 2 * lease, job.id
    put_hold(scope, hold)
    made.probe, made.verdict = '*' .. scope, hold.verdict or ''
    set(job, 'probe', scope) -- for ended_leases.lua
  end
  claims[#claims + 1] = made
  add_to_reply(job, made)
end

-- Return the scope and the hold that stop a job, if any.
local FEW_HOLDS = 50
local number_of_holds = redis.call('HLEN', K.holds)
local any_hold = number_of_holds > FEW_HOLDS -- any that is not of a batch
for _, scope in ipairs(not any_hold and number_of_holds > 0 and redis.call('HKEYS', K.holds) or {}) do
  any_hold = any_hold or string.sub(scope, 1, 6) ~= 'batch:'
end
local function stopped_by(job)
  if number_of_holds == 0 then return nil end
  local of_batch = batch_scope(job)
  if of_batch and get_hold(of_batch) then return of_batch, get_hold(of_batch) end
  if not any_hold then return nil end
  for _, scope in ipairs(scopes_of(job)) do
    local hold = get_hold(scope)
    if hold then return scope, hold end
  end
end

-- Claim a job, unless it has expired, or a hold stops it and it is not the current probe of that hold. `region_hold`: the hold
-- of the region, whose probe this job becomes.
local function claim_or_park(job, token, lease, region_hold)
  if job.unreadable then return change_state(job, 'sending') and set_aside(job, job.phase) end
  if job.expires and not job.phase and (tonumber(job.expires) or math.huge) <= now then return finish(job, 'expired') end
  if job.probe then redis.call('HDEL', job.key, 'probe') end
  local scope, hold = stopped_by(job)
  if scope and (job.probe ~= scope or hold.probe_job ~= job.id) then
    return park_held(job, scope, hold.label or hold.reason, hold.give_up_ms)
  end
  if region_hold then scope, hold = '', region_hold end
  claim(job, token, lease, scope, hold)
end
