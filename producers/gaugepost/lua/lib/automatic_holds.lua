-- Holds that answers of CustomerGauge open, and the answers to their probes.
-- WITH  holds, concurrency_limit, failed_requests, bounded_list, ready_sample

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

-- Record on a circuit breaker which job was its failed probe, so that the next probe is another job.
local TRIED_JOBS, TRIED_SORTS = 32, 8
local function remember_probe(hold, job, sort)
  hold.tried, hold.sorts = hold.tried or {}, hold.sorts or {}
  remember(hold.tried, job.id, TRIED_JOBS)
  remember(hold.sorts, sort, TRIED_SORTS)
end

-- End the probe of a hold. If it failed by the verdict of the hold, schedule the next probe later. If it got no answer or was
-- returned unsent, schedule the next probe. Any other answer lifts the hold.
local function end_probe(outcome, job)
  local scope = outcome.probe
  local hold = get_hold(scope)
  if not hold or hold.probe_job ~= job.id then return end
  local spec = outcome.hold or outcome.streak and outcome.streak.hold
  local failed = spec and spec.scope == scope and spec.verdict == hold.verdict
  if failed then
    hold.step = math.min(hold.step + 1, #hold.probe_ms)
    hold.probe_at = now + math.max(hold.probe_ms[hold.step], spec.probe_ms[1])
    hold.fingerprint = spec.fingerprint
    if hold.verdict == 'throttled' then halve_concurrency() end
  elseif not outcome.answered then
    hold.probe_at = now + hold.probe_ms[hold.step]
  else
    return lift_hold(scope, 'the probe, job ' .. job.id .. ', was answered')
  end
  if hold.verdict == 'server_error' and outcome.entry then remember_probe(hold, job, outcome.sort or sort_of(job)) end
  hold.probe_until, hold.probe_job = nil, nil
  failed = failed or outcome.entry
  if failed then note_failed_probe(hold, outcome.request) end
  put_hold(scope, hold)
  if failed then notify_hold('moved', scope) end
end
