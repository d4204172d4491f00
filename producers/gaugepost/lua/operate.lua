-- Carry out one step of an operation: change its next jobs, in the order of their enqueue stamps and at its rate, by Redis'
-- clock. The same script removes the jobs from `todo` and counts them, so that each job is changed at most once, whatever
-- dies. The last step ends the operation.
-- WITH  replays, cancellations, resolutions, operations, index, bells
-- KEYS  prefix, queue, urgent queue
-- ARGV  id, how many jobs at most, history entry, verdict of a job that is resolved as dead; if the operation edits its jobs,
--       for each of the next ones its id and its edit as in replay.lua, or `!` and why it is skipped. Jobs behind them wait
-- RETURN how many jobs left `todo`, and 1 if the next step can follow at once

local SAVED_MS = 2000 -- the rate counts this long at most, so that a pause is not made up for

-- Return how many jobs the rate allows now, and write when it allows the next ones. Without a rate: `most`.
local function allowed(key, rate, paced, most)
  if not rate then return most end
  local last = tonumber(paced or '') or now - 1000
  local since = last > now and now or math.max(last, now - SAVED_MS) -- the clock stepped back: start again
  local n = math.min(most, math.floor((now - since) * rate / 1000))
  if n > 0 or last > now then redis.call('HSET', key, 'paced', whole(since + n * 1000 / rate)) end
  return n
end

allow_oom()
local id, key, todo = ARGV[1], F.operation .. ARGV[1], F.todo .. ARGV[1]
local row = redis.call('HMGET', key, 'state', 'phase', 'action', 'rate', 'paced', 'to')
if row[1] ~= 'running' or row[2] ~= 'applying' then return {0, 0} end

local edits = {}
for i = 5, #ARGV, 2 do edits[ARGV[i]] = ARGV[i + 1] end

local function replay_edited(job)
  local edit = edits[job.id]
  if string.sub(edit, 1, 1) == '!' then return string.sub(edit, 2) end
  return replay(job, cjson.decode(edit), ARGV[3])
end

local actions = {
  replay_edited = replay_edited,
  replay = function(job) return replay(job, nil, ARGV[3]) end,
  cancel = function(job) return cancel(job, ARGV[3]) end,
  settle = function(job) return resolve(job, row[6], ARGV[4], ARGV[3]) end,
}
local earlier, done, skipped = operations_before(id), 0, {}

-- Change a job. Return why it is skipped; nil if it was changed.
local function change(member)
  local job_id, other = string.match(member, '^(%S+) ?(.*)$')
  if other == '' then other = operation_with(job_id, earlier) end
  if other then return 'operation:' .. other end
  local job = load(job_id)
  if not job then return 'gone' end
  return actions[row[3]](job)
end

local most = tonumber(ARGV[2])
local n = allowed(key, tonumber(row[4] or ''), row[5], most)
local members, changed = n > 0 and redis.call('ZRANGE', todo, 0, n - 1) or {}, 0
for _, member in ipairs(members) do
  if row[3] == 'replay_edited' and not edits[string.match(member, '^%S+')] then break end
  changed = changed + 1
  local why = change(member)
  if why then skipped[why] = (skipped[why] or 0) + 1 else done = done + 1 end
  redis.call('ZREM', todo, member)
end
redis.call('HINCRBY', key, 'done', done)
for why, number in pairs(skipped) do redis.call('HINCRBY', key, 'skipped:' .. why, number) end
write_ready()
flush_index()
flush_new()
ring_for_ready()
local rest = redis.call('ZCARD', todo)
if rest == 0 then end_operation(id, 'finished') end
return {changed, rest > 0 and (n == most or 0 < changed and changed < #members) and 1 or 0}
