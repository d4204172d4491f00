-- Resolve unknown jobs by a person's decision. The next job of each lane becomes ready.
-- WITH  transitions, history, bells
-- KEYS  prefix, queue, urgent queue
-- ARGV  'delivered' or 'dead', verdict if dead, history entry, by which a repeated call recognises its own work; then ids
-- RETURN for each id its new state ('' = unknown id) and 1 if this call resolved it

-- Resolve a job. Return whether this call, or the one that it repeats, resolved it.
local function resolve(job)
  if job.history and string.find(job.history, ARGV[3], 1, true) then return true end -- a repeated call: its answer was lost
  if job.state ~= 'unknown' then return false end
  if ARGV[1] == 'dead' then finish_dead(job, ARGV[2]) else finish(job, ARGV[1]) end
  add_to_history(job, ARGV[3])
  return true
end

allow_oom()
local out = {}
for i = 4, #ARGV do
  local job = load(ARGV[i])
  local done = job and resolve(job)
  out[#out + 1] = job and job.state or ''
  out[#out + 1] = done and 1 or 0
end
flush()
ring_for_ready()
return out
