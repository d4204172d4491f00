-- Erase what some jobs say about a person, and cancel those that were not sent. They leave the index of `find`; it keeps
-- their ids. The next job of each lane becomes ready. A repeated call changes nothing more.
-- WITH  erasure, index, bells
-- KEYS  prefix, queue, urgent queue
-- ARGV  history entry; then for each job its id and the JSON that replaces its own
-- RETURN for each job: 'cancelled'; 'stripped'; 'sending' (it is stripped when it ends); 'erased' (it was before); '' = unknown

local LEFT_OVER = 100

local function erase(job, json)
  if redis.call('HEXISTS', job.key, 'erased') == 1 then return 'erased' end
  set(job, 'erased', whole(now))
  forget_key(job)
  local stamp = forget_references(job.id)
  index_job(stamp or pack_stamp(job.at), to_bytes(job.id), '.')
  local done = strip_or_wait(job, json)
  add_to_history(job, ARGV[1])
  return done
end

allow_oom()
finish_erasures(LEFT_OVER)
local out = {}
for i = 2, #ARGV, 2 do
  local job = load(ARGV[i])
  out[#out + 1] = job and erase(job, ARGV[i + 1]) or ''
end
flush_index()
flush()
ring_for_ready()
return out
