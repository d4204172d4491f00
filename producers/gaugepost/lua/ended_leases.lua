-- List the jobs whose lease has ended, for the rescuer; fewer if they are large. Changes no state, except of unreadable jobs:
-- the rescuer settles the others under the fencing token and holder returned here, and the first settlement wins. Corrects
-- leases that are too short or too long because Redis' clock stepped.
-- WITH  unreadable, holds, leases
-- KEYS  prefix
-- ARGV  how many at most, lease in ms
-- RETURN number of extended leases; then for each job: id, fencing token, holder ('' = claimed by an older version), stamp,
--        JSON, history, '1' if it must not be sent twice, '1' if its sending mark was written, '*' .. scope if it is the
--        probe of a hold, verdict of that hold

allow_oom()
local lease = tonumber(ARGV[2])
watch_clock(lease)
cut_long_leases(lease)
local extend = lease_extender(lease)
local out = {0}

local function list(id, ends)
  local found = redis.call('HMGET', F.job .. id, 'fence', 'holder', 'at', 'job', 'history', 'once', 'marked', 'probe', 'spared')
  local fence, scope = found[1], found[8]
  if not fence then return redis.call('ZREM', K.leases, id) end
  if extend(id, ends, found[9]) then
    out[1] = out[1] + 1
    return
  end
  if not is_whole(fence) or not is_whole(found[3] or '') then
    local job = load(id)
    return set_aside(job, job.marked or job.phase)
  end
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

local ended = redis.call('ZRANGEBYSCORE', K.leases, '-inf', whole(now), 'WITHSCORES', 'LIMIT', 0, ARGV[1])
for i = 1, #ended, 2 do
  if budget > 0 then list(ended[i], tonumber(ended[i + 1])) end
end
flush()
return out
