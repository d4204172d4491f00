-- Pause, resume or abort an operation. An abort leaves the jobs that it has not changed as they are; of an ended operation it
-- deletes what an older version left of its edits and references.
-- WITH  operations
-- KEYS  prefix
-- ARGV  id, the state to go to: `paused`, `running` or `aborted`
-- RETURN its state after the call; '' for an unknown id. A repeated call changes nothing

allow_oom()
local id, to = ARGV[1], ARGV[2]
local state = redis.call('HGET', F.operation .. id, 'state')
if not state then return '' end
if state ~= 'running' and state ~= 'paused' then -- it has ended
  if to == 'aborted' then strip_operation(id) end
  return state
end
if to == 'aborted' then end_operation(id, to) else redis.call('HSET', F.operation .. id, 'state', to) end
return to
