-- Holds, and their notices.
-- WITH  jobs, notices, events

-- A hold is JSON: reason, verdict, by, since, until (of a person's hold), probe_at, probe_ms, step, give_up_ms, job (that
-- opened it), probe_job (its current probe), probe_until (when another job may be the probe instead). A circuit breaker also
-- has tried and sorts (jobs that failed, and their sorts: streaks.lua, breaker_probe.lua). token: requests for a token opened
-- it. label: the reason in one word, by which its parked jobs are counted. fingerprint: that of the refused credential. For
-- people: opened, failed and last (failed_requests.lua); holds of older versions do not have these.
local NEEDS_TOKEN = 'credentials:oauth'

-- Return the open hold of a scope; false if it has none.
local holds = {} -- the holds that this script has decoded
local function get_hold(scope)
  if holds[scope] == nil then
    local text = redis.call('HGET', K.holds, scope)
    holds[scope] = text and cjson.decode(text)
  end
  return holds[scope]
end

-- Return whether a probe of a hold is due.
local function may_probe(hold) return hold.probe_at and hold.probe_at <= now and (hold.probe_until or 0) <= now end

-- Write a hold.
local function put_hold(scope, hold)
  holds[scope] = hold
  redis.call('HSET', K.holds, scope, cjson.encode(hold))
end

-- Return the scope of the hold of a job's batch; nil for a job without one, and for a member of the batch's canary.
local function batch_scope(job)
  return job.batch and not redis.call('HGET', job.key, 'canary') and 'batch:' .. job.batch or nil
end

-- Return the scopes of the holds that can stop a job, except those of the region and of its batch.
local function scopes_of(job)
  local kind, configuration = kind_and_configuration(job)
  local scopes = {}
  if NEEDS[kind] then scopes = {'credentials:' .. NEEDS[kind], 'endpoints:' .. ENDPOINTS[kind]} end
  if configuration ~= '' then scopes[#scopes + 1] = 'configuration:' .. configuration end
  return scopes
end

-- Add a notice that a hold was `opened`, `moved` (its probe failed, the next one is scheduled) or `lifted`, and why. The first
-- and the last are events for webhooks, too.
local function notify_hold(event, scope, why)
  local hold = get_hold(scope)
  notify({event = event, scope = scope, hold = hold, why = why})
  if event == 'moved' then return end
  emit('hold.' .. event, '', {
    scope = scope, reason = hold.reason, verdict = hold.verdict, by_person = hold.by ~= 'gaugepost', since = hold.since,
    ['until'] = hold['until'], why = why,
  })
end

-- Lift the hold of a scope, if there is one. promote.lua releases its jobs at a bounded rate.
local function lift_hold(scope, why)
  if get_hold(scope) then notify_hold('lifted', scope, why) end
  holds[scope] = false
  redis.call('HDEL', K.holds, scope)
  if redis.call('EXISTS', F.held .. scope) == 1 then redis.call('SADD', K.releasing, scope) end
end
