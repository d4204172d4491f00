-- Renew the leases of jobs that a worker still holds.
-- KEYS  prefix
-- ARGV  lease in ms; then for each job: id, fencing token
-- RETURN for each job 1, or 0 if it is no longer held under that token

even_when_full()
local renewed = {}
for i = 2, #ARGV, 2 do
  local found = redis.call('HMGET', F.job .. ARGV[i], 'state', 'fence')
  local mine = found[1] == 'sending' and found[2] == ARGV[i + 1]
  if mine then redis.call('ZADD', K.leases, 'XX', whole(now + tonumber(ARGV[1])), ARGV[i]) end
  renewed[#renewed + 1] = mine and 1 or 0
end
return renewed
