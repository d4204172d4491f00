-- What the workers' answers mean for the slow start of a configuration.
-- WITH  slow_start

-- Defer a job that a worker returns unsent, because `first` is the first job of its configuration.
local function defer_returned(job, configuration, first)
  local start = slow_start_of(configuration)
  local is_out = redis.call('HGET', F.job .. first, 'state') == 'sending'
  if not start and is_out and redis.call('EXISTS', F.warm .. configuration) == 0 then
    start_slowly(configuration, first)
  elseif not start or start.ends < 0 then
    return requeue(job)
  end
  if not change_state(job, 'queued') then return false end
  defer(job.id, configuration, tonumber(job.at), job.urgent)
  return true
end

-- Continue after an answer: a delivery releases all jobs, another outcome of the first job releases the next one.
local function advance_slow_start(job, delivered)
  write_deferred()
  local configuration = configuration_of(job.id)
  local start = configuration and slow_start_of(configuration)
  if not start or start.ends < 0 then return end
  if delivered then end_slow_start(configuration) elseif start.first == job.id then next_first_job(configuration) end
end
