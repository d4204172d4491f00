-- Read jobs, and the holds that stop them. Fewer jobs if they are large, but at least one.
-- WITH  holds, presence
-- KEYS  prefix
-- ARGV  ids
-- RETURN the holds as a flat list; Redis' time and when a worker was last seen, ms (-1: never); then for each of the first
--        ids its hash as a flat list (empty: unknown id)

local any_hold = redis.call('HLEN', K.holds) > 0
local wanted = {[''] = true}

local function want_holds(job)
  if job.scope then wanted[job.scope] = true end
  if job.state ~= 'queued' and job.state ~= 'waiting' then return end
  for _, scope in ipairs(scopes_of(job)) do wanted[scope] = true end
  local of_batch = batch_scope(job)
  if of_batch then wanted[of_batch] = true end
end

local out = {{}, {now, worker_seen()}}
for _, id in ipairs(ARGV) do
  if budget <= 0 then break end
  local job = any_hold and load(id)
  if job then want_holds(job) end
  local found = redis.call('HGETALL', F.job .. id)
  for i = 2, #found, 2 do spend(found[i]) end
  out[#out + 1] = found
end
for scope in pairs(wanted) do
  local text = any_hold and redis.call('HGET', K.holds, scope)
  if text then
    table.insert(out[1], scope)
    table.insert(out[1], text)
  end
end
return out
