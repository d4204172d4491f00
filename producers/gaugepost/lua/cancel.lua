-- Cancel jobs that were not sent. A file with a phase was sent. The next job of each lane becomes ready.
-- WITH  transitions, history, bells
-- KEYS  prefix, queue, urgent queue
-- ARGV  history entry; then ids
-- RETURN for each id its new state ('' = unknown id) and 1 if this call cancelled it

allow_oom()
local out = {}
for i = 2, #ARGV do
  local job = load(ARGV[i])
  local before = job and job.state
  local done = before and before ~= 'cancelled' and not job.phase and finish(job, 'cancelled')
  if done then add_to_history(job, ARGV[1]) end
  out[#out + 1] = job and job.state or ''
  out[#out + 1] = done and 1 or 0
end
flush()
ring_for_ready()
return out
