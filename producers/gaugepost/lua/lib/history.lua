-- The history of a job: one JSON entry in each line.
-- WITH  jobs

-- Remove the requests for statistics from the older half of a long history: a file that is tracked for a day must not lose
-- its attempts.
local function without_checks(history)
  local older = string.match(string.sub(history, 1, -16385), '^.*\n') or ''
  local kept = {}
  for entry in string.gmatch(older, '[^\n]+') do
    if not string.find(entry, '"event":"check"', 1, true) then kept[#kept + 1] = entry .. '\n' end
  end
  return table.concat(kept) .. string.sub(history, #older + 1)
end

-- Return whether the history has this entry: the call that added it is repeated, because its answer was lost.
local function has_entry(job, entry) return job.history and string.find(job.history, entry, 1, true) end

-- Append an entry to the job's history. When it gets long, delete the oldest entries.
local function add_to_history(job, entry)
  local history = (job.history or '') .. entry .. '\n'
  if #history > 32768 then history = without_checks(history) end
  if #history > 32768 then history = string.gsub(string.sub(history, -16384), '^[^\n]*\n', '', 1) end
  job.history = history
  set(job, 'history', history)
end
