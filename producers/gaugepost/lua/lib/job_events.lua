-- The events of jobs that end. `finish` (transitions.lua) notes each job; the events are written when the script has written
-- what the job ended with.
-- WITH  events, jobs, counters

local ended = {}

-- Return the source of a job: '' if it has none, nil if it cannot be read here.
local function source_of(job) return job.source or redis.call('HGET', job.key, 'source') or nil end

local function name_or_nil(source) return source ~= '' and source or nil end

-- Note that a job has ended. Without endpoints nothing is written. The kind and the source are read now: erase.lua removes them, and sweep.lua
-- the job.
local function note_ended(job, to)
  if #active_endpoints() == 0 then return end
  local kind = kind_and_configuration(job)
  ended[#ended + 1] = {job = job, to = to, kind = kind, source = source_of(job)}
end

-- Note that a file has ended. `parts:<set>` has the parts of an upload that have not: the last one ends the upload.
local function note_file_ended(job)
  local set = redis.call('HGET', job.key, 'set')
  if set and redis.call('SREM', F.parts .. set, job.id) == 0 then return end -- it was replayed
  if set and redis.call('EXISTS', F.parts .. set) == 1 then return end
  if not is_wanted('file.finished', nil) then return end
  local source = source_of(job)
  emit('file.finished', source, {id = job.id, set = set or nil, source = name_or_nil(source)})
end

before_flush[#before_flush + 1] = function()
  for _, one in ipairs(ended) do
    local job = one.job
    local found = redis.call('HMGET', job.key, 'verdict', 'reason')
    emit('job.' .. one.to, one.source, {
      id = job.id, kind = one.kind, state = one.to, verdict = found[1] or nil, reason = found[2] or nil, batch = job.batch,
      source = name_or_nil(one.source),
    })
  end
  ended = {}
end
