-- Erase what jobs say about a person. State, verdicts and times stay. A job that is being sent, or a file whose processing is
-- watched, keeps its data until it ends: `erasing` has it, and its field `erasing` the JSON that then replaces the job's.
-- WITH  transitions, history

-- The parts of a history entry that stay. All others may quote the person.
local KEPT = {'event', 'at', 'by', 'n', 'ms', 'status', 'verdict', 'exact', 'counted', 'found', 'processed', 'as'}

local function without_texts(history)
  local lines = {}
  for line in string.gmatch(history or '', '[^\n]+') do
    local is_json, entry = pcall(cjson.decode, line)
    if is_json and type(entry) == 'table' then
      local kept = {}
      for _, name in ipairs(KEPT) do
        if type(entry[name]) ~= 'table' then kept[name] = entry[name] end
      end
      lines[#lines + 1] = cjson.encode(kept) .. '\n'
    end
  end
  return table.concat(lines)
end

-- Delete an idempotency key: the key itself may be an address, and its hash could be tested against a guess.
local function forget_key(job)
  local digest = redis.call('HGET', job.key, 'idem')
  if not digest then return end
  local owner = redis.call('GET', F.idem .. digest)
  if owner and string.sub(owner, 1, #job.id) == job.id then redis.call('DEL', F.idem .. digest, F.idem_content .. digest) end
  redis.call('HDEL', job.key, 'idem')
end

local function strip(job, json)
  job.history = without_texts(job.history)
  set(job, 'job', json, 'history', job.history)
  redis.call('HDEL', job.key, 'result', 'warnings', 'erasing')
  redis.call('SREM', K.erasing, job.id)
end

local OPEN = {queued = true, waiting = true, parked = true}

-- Strip a job by the JSON that replaces its own; cancel it first if it was not sent. Return what was done: `cancelled`,
-- `stripped`, or `sending` if it must be done later.
local function strip_or_wait(job, json)
  if job.state == 'sending' or job.phase and OPEN[job.state] then
    set(job, 'erasing', json)
    redis.call('SADD', K.erasing, job.id)
    return 'sending'
  end
  local cancelled = OPEN[job.state] and finish(job, 'cancelled')
  if cancelled then set(job, 'reason', 'erased') end
  strip(job, json)
  return cancelled and 'cancelled' or 'stripped'
end

-- Strip a marked job if it has ended or will be sent again.
local function finish_erasure(id)
  local json, job = redis.call('HGET', F.job .. id, 'erasing'), load(id)
  if json then strip_or_wait(job, json) else redis.call('SREM', K.erasing, id) end
end

-- Finish some marked jobs that a worker of an older version has settled.
local function finish_erasures(most)
  for _, id in ipairs(redis.call('SRANDMEMBER', K.erasing, most)) do finish_erasure(id) end
end
