-- Cancel jobs that were not sent. A file with a phase was sent.
-- WITH  transitions, history

-- Cancel a job. Return nil if this call cancelled it; else why not.
local function cancel(job, entry)
  if job.state == 'cancelled' then return 'is:cancelled' end
  if job.phase then return 'sent' end
  if not finish(job, 'cancelled') then return 'is:' .. job.state end
  add_to_history(job, entry)
end
