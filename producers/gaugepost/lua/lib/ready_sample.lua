-- A bounded read of the ready jobs, and the sort of a job: its kind and configuration.
-- WITH  jobs

local SOURCES, ENDS = 8, 8 -- how many lists of ready jobs the scripts read, and how many jobs at each end of a list

-- Return the sort of a job, or '' if it is not known.
local function sort_of(job)
  local kind, configuration = kind_and_configuration(job)
  return kind == '' and '' or kind .. ' ' .. configuration
end

-- Call visit(id, turns, list, source, from) for ready jobs until it returns true. Read both ends of each list, because the
-- newest jobs may be of another sort than thousands before them. `from`: 1 at the head of a list, -1 at its tail. Requeued
-- jobs are in no list: visit gets only their id.
local function visit_ready(urgent_only, visit)
  local function look(ids, ...)
    for _, id in ipairs(ids) do
      if visit(id, ...) then return true end
    end
  end
  local function look_at_lists(turns, family)
    for _, source in ipairs(redis.call('LRANGE', turns, 0, SOURCES - 1)) do
      local list = family .. source
      if look(redis.call('LRANGE', list, 0, ENDS - 1), turns, list, source, 1)
        or look(redis.call('LRANGE', list, -ENDS, -1), turns, list, source, -1) then return true end
    end
  end
  if look_at_lists(K.urgent_turns, F.urgent) then return end
  local last = urgent_only and '(0' or '+inf'
  if look(redis.call('ZRANGEBYSCORE', K.again, '-inf', last, 'LIMIT', 0, ENDS))
    or look(redis.call('ZREVRANGEBYSCORE', K.again, last, '-inf', 'LIMIT', 0, ENDS)) then return end
  if not urgent_only then look_at_lists(K.turns, F.ready) end
end
