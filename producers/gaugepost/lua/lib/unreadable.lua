-- Jobs whose record cannot be read.
-- WITH  transitions, history, notices

-- Set aside an unreadable job that is being sent: as unknown if a worker may have sent it, otherwise as dead.
local function set_aside(job, may_be_sent)
  if not may_be_sent then
    finish_dead(job, 'unreadable')
    notify({event = 'dead', job = job.id, verdict = 'unreadable'})
  elseif finish(job, 'unknown') then
    set(job, 'reason', 'unreadable')
  end
  local why = 'its record cannot be read: ' .. job.unreadable
  add_to_history(job, cjson.encode({event = 'set aside', at = now, why = why}))
end
