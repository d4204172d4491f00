-- WITH jobs, slow_start, passing: skip ready jobs of configurations whose first job has no answer yet.

local blocked = {} -- list -> true: its next job waits for older jobs of its configuration, which were put aside

-- Return what happens to a job of a configuration: 'go', 'aside', or 'back' (into its list, because the jobs that were put
-- aside have a turn now and go first).
local function way_of(id, configuration, at, urgent, from)
  local mark = cold_mark(configuration)
  if not mark or mark.first == id then return 'go' end
  if mark.ends >= 0 then
    return redis.call('HEXISTS', K.holds, 'configuration:' .. configuration) == 1 and 'go' or 'aside'
  end
  local source = aside(configuration)
  local head = redis.call('LINDEX', (urgent and F.urgent or F.ready) .. source, 0)
  if head and from then return 'back' end
  if head and stamp_of(head) < at then return 'aside' end
  if redis.call('EXISTS', F.urgent .. source, F.ready .. source) == 0 then redis.call('HDEL', K.cold, configuration) end
  return 'go'
end

local function put_back(ids, first, from)
  local list = from.list .. from.source
  for i = #ids, first, -1 do redis.call('LPUSH', list, ids[i]) end
  if redis.call('LLEN', list) == #ids - first + 1 then redis.call('RPUSH', from.turns, from.source) end -- it was empty
  blocked[list] = true
end

-- Return those of the popped ids that can be claimed now. `from`: turns, list and source; nil for requeued jobs.
local function pass_over(ids, from)
  if not some_cold or from and string.sub(from.source, 1, 1) == '~' then return ids end
  local may_go = {}
  for i, id in ipairs(ids) do
    local configuration, at, urgent = configuration_of(id)
    local probes = configuration and redis.call('HEXISTS', F.job .. id, 'probe') == 1 -- the job is the probe of a hold
    local way = configuration and not probes and way_of(id, configuration, at, urgent, from) or 'go'
    if way == 'go' then
      may_go[#may_go + 1] = id
    elseif way == 'aside' then
      put_aside(id, configuration, at, urgent)
    else
      put_back(ids, i, from)
      break
    end
  end
  push_aside()
  return may_go
end
