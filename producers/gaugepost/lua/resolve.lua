-- Settle by hand jobs whose answer was lost: a person has found out. The followers in their lanes go on.
-- KEYS  prefix, queue, urgent queue
-- ARGV  'delivered' or 'dead', verdict if dead, bell, urgent bell, line for the record; then ids
-- RETURN for each id its state afterwards ('' = unknown id) and 1 if this call settled it

local out = {}
for i = 6, #ARGV do
  local job = load(ARGV[i])
  local done = job and job.state == 'unknown'
  if done and ARGV[1] == 'dead' then done = bury(job, ARGV[2]) elseif done then done = finish(job, ARGV[1]) end
  if done then note(job, ARGV[5]) end
  out[#out + 1] = job and job.state or ''
  out[#out + 1] = done and 1 or 0
end
flush()
ring_for_ready(ARGV[3], ARGV[4])
return out
