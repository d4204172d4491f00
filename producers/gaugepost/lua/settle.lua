-- Record the outcomes of claimed jobs: one transition for each. Refused for a job with another fencing token or holder, so that
-- a worker that lost its lease changes nothing. A repeated call returns the same answers.
-- WITH  outcomes, automatic_holds, streaks, slow_start_answers, history, erasure, bells
-- KEYS  prefix, queue, urgent queue
-- ARGV  '1' if the rescuer calls (then only jobs whose lease has ended); then the outcome of each job as JSON:
--       id, fence, holder, to (new state), entry (for its history);
--       as `to` needs them: result, warnings, delay_ms, reason, phase, resend, scope, give_up_ms, verdict, fields (that
--       CustomerGauge refused), happened (when a case's change happened), reference (hash of a number in its result), aside (its configuration) and first (the
--       first job of that configuration);
--       for holds: hold, streak, ends (names of streaks), age_ms (how long ago the request began), sort (kind and
--       configuration), request (that failed: failed_requests.lua), probe (scope), answered (an answer came), warm (a
--       configuration that has delivered)
-- RETURN for each job 1, or 0 if it was refused

local WARM_MS = 3600000

-- Return whether the caller may settle a job.
local function may_settle(job, outcome)
  if not is_held(job, outcome.fence, outcome.holder) then return false end
  return ARGV[1] ~= '1' or tonumber(redis.call('ZSCORE', K.leases, job.id) or '0') <= now
end

-- Return whether this is a repeated call: the history ends with the same entry. An erased job has no such entry.
local function was_done(job, outcome)
  local entry = outcome.entry
  if job and job.erased and tonumber(job.fence) == outcome.fence then return job.state ~= 'sending' end
  return job and entry and tonumber(job.fence) == outcome.fence and string.sub(job.history or '', -#entry - 1, -2) == entry
end

-- Open, lift or count what an outcome means for holds.
local function update_holds(job, outcome)
  if outcome.probe then end_probe(outcome, job) end
  if outcome.hold then open_hold(outcome.hold, job, outcome.request and add_request({}, outcome.request)) end
  if outcome.scope and not get_hold(outcome.scope) then lift_hold(outcome.scope) end -- it was lifted meanwhile: release the job
  update_streaks(outcome, job)
end

-- Change the state of a job, and all that follows from its outcome. Return whether that was legal.
local function settle(job, outcome)
  local uploaded = is_file(job) and not job.phase and job.marked == job.fence
  if job.erased then outcome.result, outcome.reference, outcome.warnings = nil, nil, nil end
  local change = transitions[outcome.to]
  if not change or not change(job, outcome) then return false end
  -- CustomerGauge measures from arrival, and an upload may take long: count the interval from its answer.
  if uploaded then redis.call('SET', K.slot .. lane_suffix(job.lane), whole(now)) end
  outcome.request = outcome.request and complete_request(outcome.request, job)
  if outcome.entry then add_to_history(job, outcome.entry) end
  update_holds(job, outcome)
  if outcome.warm then redis.call('SET', F.warm .. outcome.warm, '', 'PX', WARM_MS) end
  if any_slow_start and not outcome.aside then advance_slow_start(job, outcome.to == 'delivered') end
  if job.erased then finish_erasure(job.id) end
  return true
end

allow_oom()
local answers, delivered = {}, 0
for i = 2, #ARGV do
  local outcome = cjson.decode(ARGV[i])
  local job = load(outcome.id)
  local settled = may_settle(job, outcome) and settle(job, outcome)
  if settled and outcome.to == 'delivered' then delivered = delivered + 1 end
  answers[#answers + 1] = (settled or was_done(job, outcome)) and 1 or 0
end
write_deferred()
flush_arrivals()
if delivered > 0 then grow_concurrency(delivered) end
flush()
if not get_hold('') then
  ring(KEYS[3], urgent_jobs())
  if not awake() then ring(KEYS[2], ready_jobs()) end
end
return answers
