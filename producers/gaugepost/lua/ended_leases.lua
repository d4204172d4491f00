-- List jobs whose lease has ended, for the rescuer to judge. Changes no job: the rescuer settles them under the
-- fencing token and holder given here, and whoever settles first wins.
-- WITH  jobs, holds
-- KEYS  prefix
-- ARGV  how many at most
-- RETURN for each job: id, fencing token, holder ('' = claimed by a version without), stamp, JSON, history, '1' if it must not go out twice, '1' if its sending
--        mark was written, '*' .. scope if it is the probe of a hold, that hold's verdict

local out = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', K.leases, '-inf', whole(now), 'LIMIT', 0, ARGV[1])) do
  local found = redis.call('HMGET', F.job .. id, 'fence', 'holder', 'at', 'job', 'history', 'once', 'marked')
  if not found[1] then
    redis.call('ZREM', K.leases, id)
  else
    local probe, verdict = '', ''
    for _, scope in ipairs(redis.call('HKEYS', K.holds)) do
      local hold = get_hold(scope)
      if hold.probe_job == id then probe, verdict = '*' .. scope, hold.verdict or '' end
    end
    local fence, holder, at, job, history, once = found[1], found[2] or '', found[3], found[4], found[5] or '', found[6] or ''
    local marked = found[7] == fence and '1' or ''
    for _, value in ipairs({id, fence, holder, at, job, history, once, marked, probe, verdict}) do out[#out + 1] = value end
  end
end
return out
