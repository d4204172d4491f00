-- WITH jobs, holds: holds, and the limit of the region's concurrency.

-- The concurrency limit: how many jobs may be sent at a time. Each throttling halves it. It grows by one after as many
-- deliveries as it allows, until all workers can be busy; then the limit ends.
local function live_workers()
  local all, sum = redis.call('HGETALL', K.workers), 0
  for i = 2, #all, 2 do
    local concurrency, expires = string.match(all[i], '^(%d+):(%d+)$')
    if tonumber(expires) > now then sum = sum + tonumber(concurrency) else redis.call('HDEL', K.workers, all[i - 1]) end
  end
  return sum
end

local function halve_concurrency()
  local busy = live_workers()
  local limit = math.min(tonumber(redis.call('HGET', K.concurrency, 'limit') or busy), busy)
  redis.call('HSET', K.concurrency, 'limit', math.max(1, math.floor(limit / 2)), 'full', busy, 'delivered', 0)
end

local function grow_concurrency(delivered)
  local found = redis.call('HMGET', K.concurrency, 'limit', 'full', 'delivered')
  if not found[1] then return end
  local limit, full = tonumber(found[1]), tonumber(found[2])
  delivered = delivered + tonumber(found[3])
  while delivered >= limit and limit < full do
    delivered, limit = delivered - limit, limit + 1
  end
  if limit >= full then return redis.call('DEL', K.concurrency) end
  redis.call('HSET', K.concurrency, 'limit', limit, 'delivered', delivered)
end

-- A hold is JSON: reason, verdict, by, since, until (of a person's hold), probe_at, probe_ms, step, give_up_ms, job (that
-- opened it), probe_job (its current probe), probe_until (when another job may be the probe instead). A circuit breaker also
-- has tried and sorts (jobs that failed, and their sorts: streaks.lua, probes.lua). token: requests for a token opened it.
-- label: the reason in one word, by which its parked jobs are counted. fingerprint: that of the refused credential. For
-- people: opened, failed and last (causes.lua); holds of older versions do not have these.
local NEEDS_TOKEN = 'credentials:oauth'
local holds = {} -- the holds that this script has decoded
local function get_hold(scope)
  if holds[scope] == nil then
    local text = redis.call('HGET', K.holds, scope)
    holds[scope] = text and cjson.decode(text)
  end
  return holds[scope]
end

local function may_probe(hold) return hold.probe_at and hold.probe_at <= now and (hold.probe_until or 0) <= now end

local function put_hold(scope, hold)
  holds[scope] = hold
  redis.call('HSET', K.holds, scope, cjson.encode(hold))
end

-- Return the scopes of the holds that can stop a job, except that of the region.
local function scopes_of(job)
  local kind, configuration = about(job)
  local scopes = {}
  if NEEDS[kind] then scopes = {'credentials:' .. NEEDS[kind], 'endpoints:' .. ENDPOINTS[kind]} end
  if configuration ~= '' then scopes[#scopes + 1] = 'configuration:' .. configuration end
  return scopes
end

-- Add a notice that a hold was `opened`, `moved` (its probe failed, the next one is scheduled) or `lifted`, and why.
local function notify_hold(event, scope, why)
  notify({event = event, scope = scope, hold = get_hold(scope), why = why})
end

local function lift(scope, why)
  if get_hold(scope) then notify_hold('lifted', scope, why) end
  holds[scope] = false
  redis.call('HDEL', K.holds, scope)
  if redis.call('EXISTS', F.held .. scope) == 1 then redis.call('SADD', K.releasing, scope) end
end

-- Open a hold, unless the scope has one. An open hold does not change, so that a person's hold stays.
local function open_hold(spec, job, opened)
  if redis.call('HEXISTS', K.holds, spec.scope) == 1 then return end
  redis.call('SREM', K.releasing, spec.scope)
  if spec.verdict == 'throttled' then halve_concurrency() end
  put_hold(spec.scope, {
    reason = spec.reason, verdict = spec.verdict, by = 'gaugepost', since = now, probe_ms = spec.probe_ms, step = 1,
    probe_at = now + spec.probe_ms[1], give_up_ms = spec.give_up_ms, job = job.id, tried = spec.tried, sorts = spec.sorts,
    label = spec.label, fingerprint = spec.fingerprint, opened = opened,
  })
  notify_hold('opened', spec.scope)
end

-- Park a job under a hold. The time to give up starts at the first parking, and probes do not restart it.
local function park_held(job, scope, reason, give_up_ms)
  if not move(job, 'parked') then return false end
  set(job, 'reason', reason, 'scope', scope)
  count('parked:' .. reason, 1)
  redis.call('ZADD', F.held .. scope, job.at, job.id)
  if give_up_ms then
    job.give_up = job.give_up or whole(now + give_up_ms)
    set(job, 'give_up', job.give_up)
    redis.call('ZADD', K.deadlines, 'LT', job.give_up, job.id)
  end
  return true
end
