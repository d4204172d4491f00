-- Requeue dead or parked jobs in the order of their stamps. A job of a busy lane waits in it. The script also writes an edit of
-- the job, so that no worker claims half an edit. If the edit changes the lane, the next job of the old lane becomes ready,
-- and the job joins the new lane at its stamp.
-- A job does not change if it was erased, if it is scheduled (only an edit without deliver_at sends it now), if an open hold
-- keeps it (`resume` releases it), if it has expired (it would expire again, for good),
-- or if another person edited it since it was read.
-- WITH  replays, bells
-- KEYS  prefix, queue, urgent queue
-- ARGV  history entry, by which a repeated call recognises its own work; then for each job its id and its edit ('' = none) as
--       JSON of texts: job, revision (the one that was read), configuration, references (their hashes), and those it has of lane,
--       urgent, once, expires, due
-- RETURN for each job its new state ('' = unknown id) and 1 if this call replayed it

allow_oom()
local out = {}
for i = 2, #ARGV, 2 do
  local job = load(ARGV[i])
  local why = not job or replay(job, ARGV[i + 1] ~= '' and cjson.decode(ARGV[i + 1]), ARGV[1])
  out[#out + 1] = job and job.state or ''
  out[#out + 1] = why and 0 or 1
end
write_ready()
flush_index()
flush_new()
ring_for_ready()
return out
