-- Cancel jobs that were not sent. A file with a phase was sent. The next job of each lane becomes ready.
-- WITH  cancellations, bells
-- KEYS  prefix, queue, urgent queue
-- ARGV  history entry, 1 if webhooks get no events, else 0; then ids
-- RETURN for each id its new state ('' = unknown id) and 1 if this call cancelled it

allow_oom()
if ARGV[2] == '1' then write_no_events() end
local out = {}
for i = 3, #ARGV do
  local job = load(ARGV[i])
  local why = not job or cancel(job, ARGV[1])
  out[#out + 1] = job and job.state or ''
  out[#out + 1] = why and 0 or 1
end
flush()
ring_for_ready()
return out
