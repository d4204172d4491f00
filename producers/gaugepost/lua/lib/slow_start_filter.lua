-- Skip ready jobs of configurations whose first job has no answer yet.
-- WITH  slow_start, ready_order

-- Return what happens to a job of a configuration: 'claim', 'defer', or 'return' (into its list, because the deferred jobs of
-- its configuration have a turn now and go first).
local function decision(id, configuration, at, urgent, from)
  local start = slow_start_of(configuration)
  if not start or start.first == id then return 'claim' end
  if start.ends >= 0 then
    return redis.call('HEXISTS', K.holds, 'configuration:' .. configuration) == 1 and 'claim' or 'defer'
  end
  local source = deferred_source(configuration)
  local head = redis.call('LINDEX', (urgent and F.urgent or F.ready) .. source, 0)
  if head and from then return 'return' end
  if head and stamp_of(head) < at then return 'defer' end
  if redis.call('EXISTS', F.urgent .. source, F.ready .. source) == 0 then redis.call('HDEL', K.cold, configuration) end
  return 'claim'
end

-- Return ids, from the first one on, to the head of the list from which they were popped.
local function return_to_list(ids, first, from)
  local list = from.list .. from.source
  for i = #ids, first, -1 do redis.call('LPUSH', list, ids[i]) end
  if redis.call('LLEN', list) == #ids - first + 1 then redis.call('RPUSH', from.turns, from.source) end -- it was empty
  blocked[list] = true
end

-- Return those of the popped ids that can be claimed now. `from`: turns, list and source; nil for requeued jobs.
local function without_deferred(ids, from)
  if not any_slow_start or from and string.sub(from.source, 1, 1) == '~' then return ids end
  local claimable = {}
  for i, id in ipairs(ids) do
    local configuration, at, urgent = configuration_of(id)
    local probes = configuration and redis.call('HEXISTS', F.job .. id, 'probe') == 1 -- the job is the probe of a hold
    local what = configuration and not probes and decision(id, configuration, at, urgent, from) or 'claim'
    if what == 'claim' then
      claimable[#claimable + 1] = id
    elseif what == 'defer' then
      defer(id, configuration, at, urgent)
    else
      return_to_list(ids, i, from)
      break
    end
  end
  write_deferred()
  return claimable
end
