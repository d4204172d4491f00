-- Renew the leases of jobs that a worker has claimed. A repeated call does no harm.
-- WITH  jobs
-- KEYS  prefix
-- ARGV  lease in ms; then for each job: id, fencing token, holder
-- RETURN for each job 1, or 0 if the worker has lost it: another fencing token or holder

allow_oom()
local renewed = {}
for i = 2, #ARGV, 3 do
  local found = redis.call('HMGET', F.job .. ARGV[i], 'state', 'fence', 'holder')
  local mine = is_held({state = found[1], fence = found[2], holder = found[3]}, ARGV[i + 1], ARGV[i + 2])
  if mine then redis.call('ZADD', K.leases, 'XX', whole(now + tonumber(ARGV[1])), ARGV[i]) end
  renewed[#renewed + 1] = mine and 1 or 0
end
return renewed
