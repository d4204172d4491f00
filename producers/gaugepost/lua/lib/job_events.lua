-- The events of jobs that end. `finish` (transitions.lua) notes each job; the events are written when the script has written
-- what the job ended with.
-- WITH  events, jobs, counters

local note_ended, note_file_ended
do
  local ended = {}

  -- Return the source of a job: '' if it has none, nil if it cannot be read here.
  local function source_of(job) return job.source or redis.call('HGET', job.key, 'source') or nil end

  local function name_or_nil(source) return source ~= '' and source or nil end

  -- Note that a job has ended. Without endpoints nothing is written. The kind and the source are read now: erase.lua removes
  -- them, and sweep.lua the job.
  function note_ended(job, to)
    if #active_endpoints() == 0 then return end
    local kind = kind_and_configuration(job)
    ended[#ended + 1] = {job = job, to = to, kind = kind, source = source_of(job)}
  end

  -- Note that a file has ended. `parts:<set>` has the parts of an upload that have not: the last one ends the upload.
  function note_file_ended(job)
    local set = redis.call('HGET', job.key, 'set')
    if set and redis.call('SREM', F.parts .. set, job.id) == 0 then return end -- it was replayed
    if set and redis.call('EXISTS', F.parts .. set) == 1 then return end
    if not is_wanted('file.finished', nil) then return end
    local source = source_of(job)
    ended[#ended + 1] = {file = {id = job.id, set = set or nil, source = name_or_nil(source)}, source = source}
  end

  local function emit_job(one)
    local job, sort = one.job, 'job.' .. one.to
    if not is_wanted(sort, one.source) then return end
    local found = redis.call('HMGET', job.key, 'verdict', 'reason')
    emit(sort, one.source, {
      id = job.id, kind = one.kind, state = one.to, verdict = found[1] or nil, reason = found[2] or nil, batch = job.batch,
      source = name_or_nil(one.source),
    })
  end

  -- The first step of flush(): the events of the others, such as those of batches, are collected, too.
  table.insert(before_flush, 1, function() collected = {} end)

  -- The last step of flush().
  before_flush[#before_flush + 1] = function()
    for _, one in ipairs(ended) do
      if one.file then emit('file.finished', one.source, one.file) else emit_job(one) end
    end
    write_events(collected)
    ended, collected = {}, nil
  end
end
