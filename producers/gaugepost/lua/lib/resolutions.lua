-- Resolve unknown jobs by a person's decision.
-- WITH  transitions, history

-- Resolve a job as `delivered`, or as `dead` by a verdict. Return nil if this call, or the one that it repeats, resolved it;
-- else why not.
local function resolve(job, to, verdict, entry)
  if has_entry(job, entry) then return nil end
  if job.state ~= 'unknown' then return 'is:' .. job.state end
  if to == 'dead' then finish_dead(job, verdict) else finish(job, to) end
  add_to_history(job, entry)
end
