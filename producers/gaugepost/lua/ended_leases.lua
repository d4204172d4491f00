-- List jobs whose lease has ended, for the rescuer to judge; fewer than asked for if they are large. Changes no job: the
-- rescuer settles them under the fencing token and holder given here, and the first settlement wins.
-- WITH  jobs, holds
-- KEYS  prefix
-- ARGV  how many at most
-- RETURN for each job: id, fencing token, holder ('' = claimed by a version without), stamp, JSON, history, '1' if it must
--        not go out twice, '1' if its sending mark was written, '*' .. scope if it is the probe of a hold, that hold's verdict

local out = {}

local function list(id)
  local found = redis.call('HMGET', F.job .. id, 'fence', 'holder', 'at', 'job', 'history', 'once', 'marked', 'probe')
  local fence, scope = found[1], found[8]
  if not fence then return redis.call('ZREM', K.leases, id) end
  local json, history = found[4] or '', found[5] or ''
  spend(json)
  spend(history)
  local hold = scope and get_hold(scope)
  local is_probe = hold and hold.probe_job == id
  local marked = found[7] == fence and '1' or ''
  local probe, verdict = is_probe and '*' .. scope or '', is_probe and hold.verdict or ''
  local holder, at, once = found[2] or '', found[3] or '', found[6] or ''
  for _, value in ipairs({id, fence, holder, at, json, history, once, marked, probe, verdict}) do out[#out + 1] = value end
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', K.leases, '-inf', whole(now), 'LIMIT', 0, ARGV[1])) do
  if budget > 0 then list(id) end
end
return out
