-- WITH jobs: read jobs and change their states.

local FIELDS = {
  'state', 'at', 'fence', 'holder', 'lane', 'urgent', 'reason', 'scope', 'verdict', 'expires', 'give_up', 'marked',
  'probe', 'first', 'phase', 'history', 'about', 'revision',
}

-- Return whether a text is a whole number that both Redis and Lua can represent.
local function is_whole(text) return #text < 18 and string.find(text, '^%-?%d+$') ~= nil end

-- A damaged job may have any text in a numeric field. A script must not fail because of it, when it has already popped ids of
-- other jobs. Such a field reads as missing (`at`: as 0), and the job is `broken`: it is set aside when it is claimed, or
-- when its lease ends.
local NUMBERS = {'at', 'fence', 'expires', 'give_up'}
local function mend(job)
  for _, name in ipairs(NUMBERS) do
    if job[name] and not is_whole(job[name]) then
      job[name] = nil
      job.broken = name
    end
  end
  if not job.at then job.at, job.broken = '0', job.broken or 'at' end
end

local function load(id)
  local found = redis.call('HMGET', F.job .. id, unpack(FIELDS))
  if not found[1] then return nil end
  local job = {id = id, key = F.job .. id}
  for i, name in ipairs(FIELDS) do job[name] = found[i] or nil end
  mend(job)
  return job
end

local function set(job, ...) redis.call('HSET', job.key, ...) end

-- A job is up to 1 MB of JSON, and Redis serves no other client while a script reads many of them. A script spends this budget:
-- the bytes that it reads, and ten times the bytes that it decodes. It stops when the budget is spent, but reads at least
-- one job.
local budget = 4000000
local function spend(text, times) budget = budget - #text * (times or 1) end

-- Return a job's kind and its configuration ('' = none, or not known). A long job has both in `about`. For other jobs the
-- JSON is decoded, if the budget allows it: short jobs, jobs of older versions, and edited jobs, whose `about` may be wrong.
local function about(job)
  if job.kind then return job.kind, job.configuration end
  if job.about and not job.revision then
    job.kind, job.configuration = string.match(job.about, '^(%S*) ?(%S*)$')
  elseif budget > 0 then
    local json = redis.call('HGET', job.key, 'job') or ''
    spend(json, 10)
    local whole_json, facts = pcall(cjson.decode, json)
    facts = whole_json and type(facts) == 'table' and facts or {}
    job.kind = type(facts.kind) == 'string' and facts.kind or ''
    job.configuration = type(facts.configuration) == 'string' and facts.configuration or ''
  end
  return job.kind or '', job.configuration or ''
end

-- Remove the requests for statistics from the older half of a long history: a file that is tracked for a day must not lose
-- its attempts.
local function without_checks(history)
  local older = string.match(string.sub(history, 1, -16385), '^.*\n') or ''
  local kept = {}
  for line in string.gmatch(older, '[^\n]+') do
    if not string.find(line, '"event":"check"', 1, true) then kept[#kept + 1] = line .. '\n' end
  end
  return table.concat(kept) .. string.sub(history, #older + 1)
end

-- Append an entry to the job's history. When it gets long, delete the oldest entries.
local function note(job, line)
  local history = (job.history or '') .. line .. '\n'
  if #history > 32768 then history = without_checks(history) end
  if #history > 32768 then history = string.gsub(string.sub(history, -16384), '^[^\n]*\n', '', 1) end
  job.history = history
  set(job, 'history', history)
end

-- Return whether a worker still has its claim of a job. After a fail-over to a replica without the last claim, two claims may
-- have the same fencing token. The holder, random for each claim, distinguishes them ('' = claimed by an older version).
local function is_held(job, fence, holder)
  return job and job.state == 'sending' and tonumber(job.fence) == tonumber(fence) and (job.holder or '') == holder
end

local function legal(from, to) return string.find(LEGAL, ' ' .. from .. '>' .. to .. ' ', 1, true) end

-- Remove a job from the lists and sets of its state.
local function leave(job)
  local state = job.state
  count(state, -1)
  if state == 'queued' then
    if not job.popped then redis.call('ZREM', K.again, job.id) end -- its id stays in the ready list, where claim.lua skips it
  elseif state == 'waiting' then
    redis.call('ZREM', K.waiting, job.id)
    if is_file(job) then redis.call('ZREM', K.files .. ending(job.lane), job.id) end
  elseif state == 'sending' then
    redis.call('ZREM', K.leases, job.id)
    redis.call('HDEL', job.key, 'holder', 'probe', 'spared')
  elseif state == 'parked' then
    count('parked:' .. job.reason, -1)
    if job.scope then redis.call('ZREM', F.held .. job.scope, job.id) else redis.call('ZREM', K.parked, job.id) end
    redis.call('HDEL', job.key, 'reason', 'scope', 'until')
    job.reason, job.scope = nil, nil
  else
    redis.call('ZREM', K[state], job.id)
    if state == 'dead' then count('dead:' .. job.verdict, -1) end
    redis.call('HDEL', job.key, 'ended', 'verdict', 'reason')
  end
end

-- Change a job's state if that is legal. The caller adds it to the lists and sets of the new state.
local function move(job, to)
  if not legal(job.state, to) then return false end
  leave(job)
  job.state = to
  count(to, 1)
  set(job, 'state', to)
  return true
end

local function come_again(job)
  redis.call('ZADD', K.again, job.urgent and whole(job.at - 1e16) or job.at, job.id)
end

-- Requeue a job in the order of stamps: a file in its lane, any other job in `again`, where urgent jobs come first.
local function requeue(job)
  local to = is_file(job) and not job.phase and 'waiting' or 'queued'
  if not move(job, to) then return false end
  if to == 'waiting' then
    redis.call('ZADD', K.waiting, job.at, job.id)
    redis.call('ZADD', K.files .. ending(job.lane), lane_score(job), job.id)
  else
    come_again(job)
  end
  return true
end

-- A job of a case lane has ended: requeue the next job of the lane, unless the ended job was itself waiting.
local function free_lane(job, was)
  if not job.lane or is_file(job) then return end
  local lane = F.lane .. job.lane
  redis.call('ZREM', lane, job.id)
  if was == 'waiting' then return end
  local head = redis.call('ZRANGE', lane, 0, 0)[1]
  local follower = head and load(head)
  if follower and follower.state == 'waiting' then requeue(follower) end
end

local function forget_content(id)
  local size = redis.call('STRLEN', F.content .. id)
  redis.call('ZREM', K.contents, id)
  if size == 0 then return end
  redis.call('UNLINK', F.content .. id)
  redis.call('DECRBY', K.content_bytes, whole(size))
end

-- Keep the content of a delivered file for a while (for its rejected rows), and that of a dead file for a replay.
local function keep_content(job, state)
  if state == 'delivered' then
    redis.call('ZADD', K.contents, 'XX', whole(now), job.id)
  elseif state == 'cancelled' or state == 'expired' then
    forget_content(job.id)
  end
end

-- End a job: move it to `delivered`, `dead`, `cancelled`, `expired` or `unknown`, each a sorted set of this name.
local function finish(job, to)
  local was = job.state
  if not move(job, to) then return false end
  set(job, 'ended', whole(now))
  redis.call('ZADD', K[to], whole(now), job.id)
  if job.expires or job.give_up then redis.call('ZREM', K.deadlines, job.id) end
  if to ~= 'unknown' then free_lane(job, was) end
  if is_file(job) then keep_content(job, to) end
  return true
end

local function bury(job, verdict)
  if not finish(job, 'dead') then return false end
  set(job, 'verdict', verdict)
  count('dead:' .. verdict, 1)
  return true
end

-- Set aside a broken job that is being sent: as unknown if a worker may have sent it, otherwise as dead.
local function set_aside(job, may_be_out)
  if not may_be_out then
    bury(job, 'unreadable')
    notify({event = 'dead', job = job.id, verdict = 'unreadable'})
  elseif finish(job, 'unknown') then
    set(job, 'reason', 'unreadable')
  end
  local why = 'its record cannot be read: ' .. job.broken
  note(job, cjson.encode({event = 'set aside', at = now, why = why}))
end

-- Return whether a lane's upload slot is open. A start in the future means that Redis' clock stepped back; mark.lua corrects
-- it.
local function slot_is_open(lane, interval)
  local start = tonumber(redis.call('GET', K.slot .. ending(lane)) or '0')
  return start == 0 or start > now or now - start >= tonumber(interval)
end
