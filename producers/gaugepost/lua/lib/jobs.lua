-- Read jobs.

local FIELDS = {
  'state', 'at', 'fence', 'holder', 'lane', 'urgent', 'reason', 'scope', 'verdict', 'expires', 'give_up', 'marked',
  'probe', 'first', 'phase', 'history', 'about', 'revision', 'erased', 'batch',
}

-- Return whether a text is a whole number that both Redis and Lua can represent.
local function is_whole(text) return #text < 18 and string.find(text, '^%-?%d+$') ~= nil end

-- Remove the numbers of a job that are no numbers. A damaged job may have any text in a numeric field, and a script must not
-- fail because of it when it has already popped ids of other jobs. Such a field reads as missing (`at`: as 0), and the job is
-- `unreadable`: it is set aside when it is claimed, or when its lease ends.
local NUMBERS = {'at', 'fence', 'expires', 'give_up'}
local function clear_unreadable_numbers(job)
  for _, name in ipairs(NUMBERS) do
    if job[name] and not is_whole(job[name]) then
      job[name] = nil
      job.unreadable = name
    end
  end
  if not job.at then job.at, job.unreadable = '0', job.unreadable or 'at' end
end

-- Return a job with its fields; nil for an unknown id.
local function load(id)
  local found = redis.call('HMGET', F.job .. id, unpack(FIELDS))
  if not found[1] then return nil end
  local job = {id = id, key = F.job .. id}
  for i, name in ipairs(FIELDS) do job[name] = found[i] or nil end
  clear_unreadable_numbers(job)
  return job
end

-- Write pairs of field and value of a job.
local function set(job, ...) redis.call('HSET', job.key, ...) end

-- Spend the budget of a script: the bytes that it reads, and ten times the bytes that it decodes. A job is up to 1 MB of JSON,
-- and Redis serves no other client while a script reads many of them. A script stops when the budget is spent, but reads at
-- least one job.
local budget = 4000000
local function spend(text, times) budget = budget - #text * (times or 1) end

-- Return a job's kind and its configuration ('' = none, or not known). A long job has both in `about`. For other jobs the
-- JSON is decoded, if the budget allows it: short jobs, jobs of older versions, and edited jobs, whose `about` may be wrong.
-- That also sets job.source ('' = none; a sealed job of an older version does not say it).
local function kind_and_configuration(job)
  if job.kind then return job.kind, job.configuration end
  if job.about and not job.revision then
    job.kind, job.configuration = string.match(job.about, '^(%S*) ?(%S*)$')
  elseif budget > 0 then
    local json = redis.call('HGET', job.key, 'job') or ''
    spend(json, 10)
    local is_json, facts = pcall(cjson.decode, json)
    facts = is_json and type(facts) == 'table' and facts or {}
    job.kind = type(facts.kind) == 'string' and facts.kind or ''
    job.configuration = type(facts.configuration) == 'string' and facts.configuration or ''
    job.source = type(facts.source) == 'string' and facts.source or not facts.sealed and '' or nil
  end
  return job.kind or '', job.configuration or ''
end

-- Return whether a worker still has its claim of a job. After a fail-over to a replica without the last claim, two claims may
-- have the same fencing token. The holder, random for each claim, distinguishes them ('' = claimed by an older version).
local function is_held(job, fence, holder)
  return job and job.state == 'sending' and tonumber(job.fence) == tonumber(fence) and (job.holder or '') == holder
end
