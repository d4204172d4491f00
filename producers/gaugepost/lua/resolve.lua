-- Resolve unknown jobs by a person's decision. The next job of each lane becomes ready.
-- WITH  resolutions, bells
-- KEYS  prefix, queue, urgent queue
-- ARGV  'delivered' or 'dead', verdict if dead, history entry, by which a repeated call recognises its own work; then ids
-- RETURN for each id its new state ('' = unknown id) and 1 if this call resolved it

allow_oom()
local out = {}
for i = 4, #ARGV do
  local job = load(ARGV[i])
  local why = not job or resolve(job, ARGV[1], ARGV[2], ARGV[3])
  out[#out + 1] = job and job.state or ''
  out[#out + 1] = why and 0 or 1
end
flush()
ring_for_ready()
return out
